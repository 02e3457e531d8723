"""Workspaces from the command line, and a disk that is full."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commandline.driving import CommandLine

pytestmark = pytest.mark.server

FAILING = """
    cwlVersion: v1.2
    class: CommandLineTool
    inputs: {}
    outputs: {}
    baseCommand: "false"
    """
WRITING = """
    cwlVersion: v1.2
    class: Workflow
    requirements: {ScatterFeatureRequirement: {}}
    inputs: {n: "int[]", log: string}
    outputs: {o: {type: "File[]", outputSource: s/o}}
    steps:
      s:
        in: {n: n, log: log}
        out: [o]
        scatter: n
        run:
          class: CommandLineTool
          requirements: {ResourceRequirement: {coresMin: 1, ramMin: 8}}
          baseCommand: [sh, -ec, 'head -c 12000000 /dev/zero > big.bin; echo $0 >> "$1"']
          inputs: {n: {type: int, inputBinding: {position: 1}}, log: {type: string, inputBinding: {position: 2}}}
          outputs: {o: {type: File, outputBinding: {glob: big.bin}}}
    """


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MiB."""
    directory = tmp_path / "small"
    directory.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", directory], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    yield directory
    subprocess.run(["umount", "-l", directory], check=True)


def test_workspaces_are_listed_marked_restored_and_removed(command: CommandLine) -> None:
    failed = command.run("--backend", "local", command.write("fail.cwl", FAILING))
    assert failed.code == 13, failed.stderr
    (found,) = [one for one in json.loads(command("workspace", "ls", "--json").stdout) if one["outcome"] == "failed"]
    directory = Path(found["directory"])
    assert "MiB  in all" in command("workspace", "du").stdout
    assert "0 marked, 0 removed" in command("workspace", "gc").stdout
    now_due = {"CWL_PREFECT_KEEP_UNFINISHED_DAYS": "0", "CWL_PREFECT_KEEP_MARKED_DAYS": "0"}
    assert "would be marked" in command("workspace", "gc", "--dry-run", environment=now_due).stdout
    assert "1 marked, 0 removed" in command("workspace", "gc", environment=now_due).stdout
    assert "stays." in command("workspace", "restore", found["id"]).stdout
    assert "1 marked, 0 removed" in command("workspace", "gc", environment=now_due).stdout
    time.sleep(0.01)
    assert "0 marked, 1 removed" in command("workspace", "gc", environment=now_due).stdout
    assert not directory.exists()
    assert command("workspace", "restore", found["id"]).code == 11


def test_what_is_left_of_a_run_is_removed_once_prefect_says_that_it_is_complete(command: CommandLine) -> None:
    document = command.write("good.cwl", FAILING.replace('"false"', '"true"'))
    kept = command.run("--backend", "local", "--keep", "always", document)
    assert kept.code == 0, kept.stderr
    (found,) = [one for one in json.loads(command("workspace", "ls", "--json").stdout) if one["outcome"] == "completed"]
    noted = Path(found["directory"], "run.json")
    killed = json.loads(noted.read_text()) | {
        "outcome": "running",
        "ended": None,
        "settings": {},
    }  # just before its end
    noted.write_text(json.dumps(killed))
    assert "0 marked, 1 removed" in command("workspace", "gc").stdout
    assert not noted.parent.exists()


def test_a_full_disk_stops_a_run_which_goes_on_when_there_is_room(command: CommandLine, small_disk: Path) -> None:
    log = command.directory / "log"
    order = command.write("order.json", json.dumps({"n": list(range(6)), "log": str(log)}))
    environment = {"CWL_PREFECT_WORKDIR": str(small_disk), "CWL_PREFECT_LEAST_FREE_MIB": "16"}
    document = command.write("write.cwl", WRITING)
    run = command.run("--max-cores", "1", document, order, environment=environment)
    assert run.code == 17, run.stderr
    assert "the disk is full" in run.stderr
    assert "runs resume" in run.stderr
    finished = log.read_text().split()
    assert 0 < len(finished) < 6
    subprocess.run(["mount", "-o", "remount,size=400m", small_disk], check=True)
    (manifest,) = small_disk.glob("*/run.json")
    resumed = command("runs", "resume", manifest.parent.name, environment=environment)
    assert [Path(one["path"]).stat().st_size for one in resumed.outputs["o"]] == [12_000_000] * 6
    assert sorted(log.read_text().split()) == sorted({*finished, *map(str, range(6))})
