"""Runs that deliver to one directory at the same time: each has its own files, and no file is of two runs."""

from pathlib import Path

import pytest

from tests.commandline.driving import CommandLine

pytestmark = pytest.mark.server

RUNS = 6
# Each waits until all have begun, for as long as that takes: all fit on the machine at once.
TOOL = """
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c, 'touch "$0/$1"; until [ $(ls "$0" | wc -l) = 6 ]; do sleep 0.1; done; echo $1 > a; echo $1 > b']
requirements: {ResourceRequirement: {coresMin: 0.1, ramMin: 16}}
inputs:
  meeting: {type: string, inputBinding: {position: 1}}
  word: {type: string, inputBinding: {position: 2}}
outputs: {files: {type: "File[]", outputBinding: {glob: [a, b]}}}
"""


def test_each_run_has_files_of_its_own(command: CommandLine, tmp_path: Path) -> None:
    command.write("tool.cwl", TOOL)
    (tmp_path / "meeting").mkdir()
    options = ("run", "--backend", "local", "--no-cache", "--outdir", command.outdir)
    given = ("tool.cwl", "--meeting", tmp_path / "meeting", "--word")
    started = [command.start(*options, *given, f"run{number}") for number in range(RUNS)]
    outputs = [each.ended().outputs["files"] for each in started]
    paths = [Path(file["path"]) for files in outputs for file in files]
    assert len(set(paths)) == 2 * RUNS
    contents = [{Path(file["path"]).read_text().strip() for file in files} for files in outputs]
    assert contents == [{f"run{number}"} for number in range(RUNS)]
