"""What another user of the machine writes is neither read nor run, although a person names it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commandline.driving import CommandLine, assert_refused

USAGE = 2
TOOL = "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: 'true', inputs: [], outputs: []}"
CALLBACKS = "[{command: [touch, run-by-callback]}]"
OVERRIDES = "'*': {resources: {ram: 8G}}"


def writable_for_all(path: Path) -> None:
    path.chmod(0o666)


def written_by_another(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    os.chown(path, 54_321, 54_321)


@pytest.mark.parametrize("foreign", [writable_for_all, written_by_another])
@pytest.mark.parametrize(("option", "content"), [("--callbacks", CALLBACKS), ("--step-overrides", OVERRIDES)])
def test_a_file_that_another_user_could_have_written_is_not_read(
    command: CommandLine, option: str, content: str, foreign: Callable[[Path], None]
) -> None:
    path = command.write("given.yml", content)
    foreign(path)
    command.write("tool.cwl", TOOL)
    ended = command.run("--backend", "local", option, path, "tool.cwl")
    assert_refused(
        ended, USAGE, "given.yml", "somebody else could have written it", "chmod go-w", outdir=command.outdir
    )
    assert not (command.directory / "run-by-callback").exists()
