"""The call cache among processes, as a user meets it."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import BIN, command_environment
from tests.prefect_api import local_api, matching
from tests.waiting import until

pytestmark = pytest.mark.server

TIME_LIMIT_S = 120
WIDTH = 50
WORKFLOW = {
    "cwlVersion": "v1.2",
    "class": "Workflow",
    "requirements": [{"class": "ScatterFeatureRequirement"}],
    "inputs": {"words": "string[]", "counter": "string"},
    "steps": {
        "say": {
            "run": {
                "class": "CommandLineTool",
                "baseCommand": [
                    "sh",
                    "-c",
                    'echo "$2" >> "$1"; sleep 0.05; echo "$2"; head -c 9000 /dev/zero > zeros',
                    "sh",
                ],
                "inputs": {
                    "counter": {"type": "string", "inputBinding": {"position": 1}},
                    "word": {"type": "string", "inputBinding": {"position": 2}},
                },
                "stdout": "$(inputs.word).txt",
                "outputs": {"said": "stdout", "zeros": {"type": "File", "outputBinding": {"glob": "zeros"}}},
            },
            "scatter": "word",
            "in": {"word": "words", "counter": "counter"},
            "out": ["said", "zeros"],
        }
    },
    "outputs": {
        "said": {"type": "File[]", "outputSource": "say/said"},
        "zeros": {"type": "File[]", "outputSource": "say/zeros"},
    },
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    yield from command_environment(tmp_path_factory.mktemp("home"))


@pytest.fixture
def command(tmp_path: Path) -> list[str | Path]:
    (tmp_path / "flow.cwl").write_text(json.dumps(WORKFLOW))
    order = {"words": [f"word-{number}" for number in range(WIDTH)], "counter": str(tmp_path / "ran")}
    (tmp_path / "order.json").write_text(json.dumps(order))
    return [BIN / "cwl-prefect", "run", "--no-container", tmp_path / "flow.cwl", tmp_path / "order.json", "--outdir"]


def ran(tmp_path: Path) -> int:
    return len((tmp_path / "ran").read_text().splitlines())


def outputs(directory: Path) -> dict[str, bytes]:
    names = [path for path in directory.iterdir() if path.name != "cwl-prefect-outputs.json"]
    return {path.name: path.read_bytes() for path in names}


def test_two_processes_run_identical_calls_once(tmp_path: Path, environment: dict[str, str], command: list[str | Path]):
    subprocess.run([BIN / "cwl-prefect", "server", "start"], env=environment, check=True, capture_output=True)
    processes = [
        subprocess.Popen([*command, tmp_path / name], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for name in ("one", "other")
    ]
    for process in processes:
        said, _ = process.communicate(timeout=TIME_LIMIT_S)
        assert process.returncode == 0, said.decode()
    assert ran(tmp_path) == WIDTH
    assert outputs(tmp_path / "one") == outputs(tmp_path / "other")
    assert len(outputs(tmp_path / "one")) == 2 * WIDTH


def test_published_results_are_files_of_their_own(
    tmp_path: Path, environment: dict[str, str], command: list[str | Path]
):
    def run(name: str, *more: str) -> dict[str, bytes]:
        subprocess.run([*command, tmp_path / name, *more], env=environment, check=True, capture_output=True)
        return outputs(tmp_path / name)

    first = run("first")
    for path in (tmp_path / "first").iterdir():
        assert path.stat().st_nlink == 1
        assert os.access(path, os.W_OK)
        path.write_text("edited by its owner")
    assert run("second") == first
    assert ran(tmp_path) == WIDTH
    assert run("third", "--refresh", "say") == first
    assert ran(tmp_path) == 2 * WIDTH
    assert run("fourth", "--no-cache") == first
    assert ran(tmp_path) == 3 * WIDTH


def test_the_ui_shows_cached_calls(tmp_path: Path, environment: dict[str, str], command: list[str | Path]):
    order = json.loads((tmp_path / "order.json").read_text())
    (tmp_path / "order.json").write_text(json.dumps({**order, "words": ["alone"]}))
    for name in ("first", "second"):
        done = subprocess.run([*command, tmp_path / name], env=environment, check=True, capture_output=True, text=True)
    assert "1 cached" in done.stderr
    run_id = done.stderr.partition("/flow-run/")[2].split()[0]
    api = local_api(Path(environment["CWL_PREFECT_HOME"]))
    until(lambda: states(api, run_id) == ["Cached"])


def states(api: str, run_id: str) -> list[str]:
    """Give the states of a run's tasks as the server knows them now, which is a little later than they change."""
    return [run["state_name"] for run in matching(api, "task_runs", flow_runs={"id": {"any_": [run_id]}})]
