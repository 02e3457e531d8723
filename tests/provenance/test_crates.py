"""Crates of real runs, as others check and read them: rocrate-validator and runcrate.

Their pins do not go with ours (rich below 14, cwl-utils 0.40), so they live in an environment of their own:
``python -m venv DIR && DIR/bin/pip install roc-validator runcrate``, and ``CWL_PREFECT_CRATE_TOOLS=DIR``.
"""

import json
import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.commandline.driving import CommandLine
from tests.commands import PROJECT
from tests.conftest import missing_engine
from tests.waiting import until

TOOLS = os.environ.get("CWL_PREFECT_CRATE_TOOLS")
pytestmark = pytest.mark.server
EXAMPLES = sorted(path.parent.name for path in (PROJECT / "examples/cwl").glob("*/*.yml"))
SCATTER = """
    cwlVersion: v1.2
    class: Workflow
    requirements:
      ScatterFeatureRequirement: {}
      SubworkflowFeatureRequirement: {}
      InlineJavascriptRequirement: {}
    inputs: {words: "string[]"}
    outputs: {texts: {type: "File[]", outputSource: say/text}}
    steps:
      say:
        scatter: word
        in: {word: words}
        out: [text]
        run:
          class: Workflow
          inputs: {word: string}
          outputs: {text: {type: File, outputSource: echo/text}}
          steps:
            echo:
              in: {word: word}
              out: [text]
              run: &echo
                class: CommandLineTool
                baseCommand: [sh, -c, '[ "$0" != fail ] || exit; [ "$0" != wait ] || [ -e GO ] || sleep 600; echo "$0"']
                inputs: {word: {type: string, inputBinding: {position: 1}}}
                outputs: {text: stdout}
                stdout: text.txt
      never: {when: $(false), in: {word: {default: one}}, out: [text], run: *echo}
    """


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the validator would fetch, so that it asks nobody."""
    if TOOLS is None:
        missing_engine("CWL_PREFECT_CRATE_TOOLS names no environment of roc-validator and runcrate")
    path = tmp_path_factory.mktemp("contexts") / "cache"
    subprocess.run([f"{TOOLS}/bin/python", Path(__file__).with_name("offline_contexts.py"), path], check=True)
    return path


def issues(crate: Path, cache: Path) -> list[tuple[str, str]]:
    """Return what the validator has against a crate, and where."""
    report = crate.with_suffix(".json")
    options = ("-p", "provenance-run-crate-0.5", "-l", "required", "--offline", "--cache-path", cache)
    subprocess.run(
        [
            f"{TOOLS}/bin/rocrate-validator",
            "-y",
            "validate",
            *options,
            "--no-paging",
            "-f",
            "json",
            "-o",
            report,
            crate,
        ],
        capture_output=True,
        check=False,
    )
    found = json.loads(report.read_text())
    assert found["passed"] is not bool(found["issues"])
    return [(issue["message"], issue["violatingEntity"]) for issue in found["issues"]]


def read(crate: Path) -> str:
    """Return what runcrate tells of a crate."""
    done = subprocess.run([f"{TOOLS}/bin/runcrate", "report", crate], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def states(crate: Path) -> Counter[str]:
    """Return how many calls of a crate ended how."""
    graph = json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]
    found = (one["actionStatus"]["@id"] for one in graph if one["@id"].startswith("#call/"))
    return Counter(status.rpartition("/")[2].removesuffix("ActionStatus") for status in found)


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "docker"])
def test_others_accept_the_crate_of_an_example(cache: Path, command: CommandLine, name: str) -> None:
    example = PROJECT / "examples/cwl" / name
    crate = command.directory / "crate"
    ended = command.run("--backend", "local", "--provenance", crate, example / f"{name}.cwl", example / f"{name}.yml")
    assert ended.outputs
    assert issues(crate, cache) == []
    assert "action: #run" in read(crate)
    assert command("runs", "crate", "last", "-o", "small", "--no-data").code == 0
    assert issues(command.directory / "small", cache) == []


def test_others_accept_the_crate_of_a_run_that_failed_or_came_from_the_cache(command: CommandLine, cache: Path) -> None:
    command.write("flow.cwl", SCATTER)
    command.write("failing.yml", "words: [one, fail]")
    command.write("order.yml", "words: [one, two]")
    run = ("--backend", "local", "--on-error", "continue")
    assert command.run(*run, "--provenance", "failed", "flow.cwl", "failing.yml").code != 0
    assert states(command.directory / "failed") == {"Completed": 2, "Failed": 2}
    assert command.run(*run, "flow.cwl", "order.yml").code == 0
    assert command.run(*run, "--provenance", "cached", "flow.cwl", "order.yml").code == 0
    assert states(command.directory / "cached") == {"Completed": 4}
    for name in ("failed", "cached"):
        assert issues(command.directory / name, cache) == []
        assert "step: packed.cwl#" in read(command.directory / name)


def test_others_accept_the_crate_of_a_run_that_was_killed_and_resumed(command: CommandLine, cache: Path) -> None:
    command.write("flow.cwl", SCATTER.replace("GO", str(command.directory / "go")))
    command.write("order.yml", "words: [one, wait]")
    named = ("--outdir", command.outdir, "--name", "crate-killed", "--backend", "local")
    started = command.start("run", *named, "flow.cwl", "order.yml")

    def crate_has(name: str, **expected: int) -> bool:
        ended = command("runs", "crate", "crate-killed", "-o", name)
        return ended.code == 0 and states(command.directory / name) == expected

    tries = iter(range(1000))
    until(lambda: crate_has(f"goes-on-{next(tries)}", Completed=2, Active=2), timeout_s=170)
    started.kill()
    assert crate_has("killed", Completed=2, Active=2)
    assert issues(command.directory / "killed", cache) == []
    (command.directory / "go").touch()
    assert command("runs", "resume", "crate-killed").code == 0
    assert crate_has("resumed", Completed=4)
    assert issues(command.directory / "resumed", cache) == []
    assert read(command.directory / "resumed").count("action: ") == 5
