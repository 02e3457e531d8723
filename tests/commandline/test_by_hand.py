"""A call that failed, looked into by hand."""

import subprocess

import pytest

from tests.commandline.driving import CommandLine, assert_refused
from tests.commands import BIN

pytestmark = pytest.mark.server

TOOL = """
    cwlVersion: v1.2
    class: CommandLineTool
    baseCommand: [sh, -c, 'cat "$0"; test ! -s "$0"']
    inputs: {file: {type: File, inputBinding: {}}}
    outputs: []
    """


def test_a_failed_call_is_run_again_with_its_inputs(command: CommandLine) -> None:
    command.write("look.cwl", TOOL)
    command.write("in put.txt", "given\n")
    failed = command.run("--backend", "local", "--name", "look", "look.cwl", "--file", "in put.txt")
    assert "Look into it with: cwl-prefect runs rerun look look --shell" in failed.stderr

    script = command("runs", "command", "look", "look")
    assert (script.code, script.stdout.splitlines()[0]) == (0, "#!/bin/sh")
    again = command("runs", "rerun", "look", "look")
    assert (again.code, again.stdout) == (1, "given\n")

    shell = subprocess.run(
        [BIN / "cwl-prefect", "runs", "rerun", "look", "look", "--shell"],
        env={**command.environment, "SHELL": "/bin/sh"},
        cwd=command.directory,
        input="sh $TMPDIR/command.sh; ls ..; exit 7\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (shell.returncode, shell.stdout) == (7, "given\nlogs\nout\nstage\ntmp\n")
    assert_refused(command("runs", "rerun", "look", "lok"), 11, "did you mean look?")
