"""Whole subworkflows and wide scatters from the call cache, as a user meets them."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cache.test_processes import states
from tests.commands import BIN, command_environment
from tests.prefect_api import matching
from tests.waiting import until

pytestmark = pytest.mark.server

INNER = {
    "class": "Workflow",
    "inputs": {"counter": "string", "word": "string"},
    "outputs": {"out": {"type": "File", "outputSource": "second/out"}},
    "steps": {
        "first": {"run": "tool.cwl", "in": {"counter": "counter", "word": "word"}, "out": ["out"]},
        "second": {"run": "last.cwl", "in": {"counter": "counter", "file": "first/out"}, "out": ["out"]},
    },
}
WORKFLOW = {
    "cwlVersion": "v1.2",
    "class": "Workflow",
    "requirements": [{"class": "ScatterFeatureRequirement"}, {"class": "SubworkflowFeatureRequirement"}],
    "inputs": {"words": "string[]", "counter": "string"},
    "steps": {
        "pair": {"run": INNER, "scatter": "word", "in": {"word": "words", "counter": "counter"}, "out": ["out"]},
    },
    "outputs": {"out": {"type": "File[]", "outputSource": "pair/out"}},
}


WIDE = {
    **WORKFLOW,
    "steps": {
        "say": {"run": "tool.cwl", "scatter": "word", "in": {"word": "words", "counter": "counter"}, "out": ["out"]},
    },
    "outputs": {"out": {"type": "File[]", "outputSource": "say/out"}},
}


def tool(script: str, **inputs: str) -> dict:
    return {
        "cwlVersion": "v1.2",
        "class": "CommandLineTool",
        "baseCommand": ["sh", "-c", script, "sh"],
        "inputs": {
            name: {"type": kind, "inputBinding": {"position": number}}
            for number, (name, kind) in enumerate(inputs.items())
        },
        "stdout": "out.txt",
        "outputs": {"out": "stdout"},
    }


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    yield from command_environment(tmp_path_factory.mktemp("home"))


@pytest.fixture
def run(tmp_path: Path, environment: dict[str, str]) -> Callable[..., tuple[list[bytes], str]]:
    def write(suffix: str, workflow: dict) -> None:
        documents = {
            "flow.cwl": workflow,
            "tool.cwl": tool('echo "$2" >> "$1"; echo "$2"', counter="string", word="string"),
            "last.cwl": tool(f'echo last >> "$1"; cat "$2"; echo {suffix}', counter="string", file="File"),
            "order.json": {"words": ["one", "two", "three"], "counter": str(tmp_path / "ran")},
        }
        for name, document in documents.items():
            (tmp_path / name).write_text(json.dumps(document))

    def run(outdir: str, *, suffix: str = "!", workflow: dict = WORKFLOW, **given: str) -> tuple[list[bytes], str]:
        write(suffix, workflow)
        command = [BIN / "cwl-prefect", "run", "--no-container", tmp_path / "flow.cwl", tmp_path / "order.json"]
        done = subprocess.run(
            [*command, "--outdir", tmp_path / outdir],
            env={**environment, **given},
            check=True,
            capture_output=True,
            text=True,
        )
        found = [Path(file["location"].removeprefix("file://")) for file in json.loads(done.stdout)["out"]]
        return [path.read_bytes() for path in found], done.stderr

    return run


def explained(environment: dict[str, str], step: str) -> str:
    command = [BIN / "cwl-prefect", "cache", "explain", "last", step]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def cached_task_runs(said: str, *, count: int) -> list[str]:
    """Wait until all task runs of a run are Cached, and give their names."""
    api, run_id = said.partition("http://")[2].partition("/runs/")[0], said.partition("/flow-run/")[2].split()[0]
    until(lambda: states(f"http://{api}/api", run_id) == ["Cached"] * count)
    found = matching(f"http://{api}/api", "task_runs", flow_runs={"id": {"any_": [run_id]}})
    return sorted(task["name"] for task in found)


def test_a_scattered_subworkflow_is_found_as_a_whole(
    tmp_path: Path, environment: dict[str, str], run: Callable[..., tuple[list[bytes], str]]
):
    counter = tmp_path / "ran"
    first, _ = run("first")
    assert sorted(counter.read_text().split()) == ["last", "last", "last", "one", "three", "two"]
    second, said = run("second")
    assert second == first == [b"one\n!\n", b"two\n!\n", b"three\n!\n"]
    assert len(counter.read_text().split()) == 6
    assert "pair: 3 cached" in said
    assert cached_task_runs(said, count=3) == ["pair[0]", "pair[1]", "pair[2]"]
    assert explained(environment, "pair").startswith("pair: 3 cached, 0 not cached.")
    assert "found as a whole" in explained(environment, "pair.first")

    third, said = run("third", suffix="?")
    assert third == [b"one\n?\n", b"two\n?\n", b"three\n?\n"]
    assert counter.read_text().split()[6:] == ["last"] * 3
    assert "pair.first: 3 cached" in said
    assert "what the step `second` does differs" in explained(environment, "pair")


def test_a_wide_scatter_is_found_as_a_whole(
    tmp_path: Path, environment: dict[str, str], run: Callable[..., tuple[list[bytes], str]]
):
    counter, wide = tmp_path / "ran", {"workflow": WIDE, "CWL_PREFECT_GROUP_THRESHOLD": "2"}
    first, _ = run("first", **wide)
    second, said = run("second", **wide)
    assert second == first == [b"one\n", b"two\n", b"three\n"]
    assert sorted(counter.read_text().split()) == ["one", "three", "two"]
    assert "say: 3 cached" in said
    assert cached_task_runs(said, count=1) == ["say[0-2]"]
    told = explained(environment, "say[1]")
    assert told.startswith("say[1]: 3 cached, 0 not cached.")
    assert "say was found, with all 3 calls of the scatter: " in told
