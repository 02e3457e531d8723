"""Streams that are closed or full, directories that are gone, limits of the user: the run keeps its own exit status."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.commandline.driving import CommandLine, Ended
from tests.commands import BIN

pytestmark = pytest.mark.server

HELLO = """
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [echo, hi]
inputs: []
stdout: o.txt
outputs: {o: stdout}
"""
READ_S = 100  # no machine reads 200 GiB and computes their SHA-1 faster
RUN = f"exec {BIN}/cwl-prefect run --backend local --quiet --no-cache --outdir results hello.cwl"
FULL = "No space left on device"


def shell(command: CommandLine, script: str, **environment: str) -> Ended:
    """Run a script where a document lies."""
    command.write("hello.cwl", HELLO)
    began = time.monotonic()
    ended = subprocess.run(
        ["bash", "-c", script],
        cwd=command.directory,
        env={**command.environment, "PYTHONDONTWRITEBYTECODE": "1", **environment},  # or half a module could be left
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert "Traceback" not in ended.stderr
    assert "internal error" not in ended.stderr
    return Ended(code=ended.returncode, stdout=ended.stdout, stderr=ended.stderr, seconds=time.monotonic() - began)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_nobodys_fault(command: CommandLine, closed: str) -> None:
    ended = shell(command, f"{RUN} {closed}")
    assert ended.code == 0, ended.stderr
    assert (command.outdir / "o.txt").read_text() == "hi\n"
    assert ended.stderr == ""


def test_results_that_cannot_be_printed_are_one_line(command: CommandLine) -> None:
    ended = shell(command, f"{RUN} > /dev/full")
    assert ended.code == 0, ended.stderr
    assert ended.stderr == f"Warning: the results could not be written to the standard output: {FULL}.\n"
    assert (command.outdir / "o.txt").read_text() == "hi\n"


def test_what_else_cannot_be_printed_is_one_error(command: CommandLine) -> None:
    ended = shell(command, f"{BIN}/cwl-prefect validate hello.cwl > /dev/full")
    assert ended.code == 1
    assert ended.stderr.startswith("Error: This machine failed: [Errno 28]")


def test_a_current_directory_that_is_gone_is_one_error(command: CommandLine) -> None:
    ended = shell(
        command, f"mkdir gone; cd gone; rmdir ../gone; {BIN}/cwl-prefect validate {command.directory}/hello.cwl"
    )
    assert ended.code == 2
    assert ended.stderr.startswith("Error: the current directory does not exist any more.\nTo fix: ")


def test_an_empty_home_is_as_none(command: CommandLine, tmp_path: Path) -> None:
    ended = shell(command, f"{BIN}/cwl-prefect validate hello.cwl && find . -mindepth 1", CWL_PREFECT_HOME="")
    assert ended.stdout == "hello.cwl is valid CWL v1.2.\n./hello.cwl\n"


def test_a_limit_on_the_size_of_files_is_no_fault_of_ours(command: CommandLine) -> None:
    shell(command, f"{BIN}/cwl-prefect server start")
    ended = shell(command, f"ulimit -f 1; {RUN}")
    assert ended.code == 0 or "Error: " in ended.stderr, (ended.code, ended.stderr)


def test_a_full_tmpdir_does_not_undo_a_run(command: CommandLine, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root mounts a file system")
    full = tmp_path / "full"
    full.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", full], check=False, capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        with (full / "filler").open("wb") as filler, pytest.raises(OSError, match=FULL):
            filler.write(b"x" * 200_000)
        ended = shell(command, RUN, TMPDIR=str(full))
    finally:
        subprocess.run(["umount", "-l", full], check=True)
    assert ended.code == 0, ended.stderr
    assert (command.outdir / "o.txt").read_text() == "hi\n"


def test_a_run_that_reads_a_huge_output_stops_at_once(command: CommandLine) -> None:
    command.write(
        "sparse.cwl",
        "cwlVersion: v1.2\nclass: CommandLineTool\n"
        "baseCommand: [sh, -c, 'truncate -s 200G big; touch ../../../made']\n"
        "inputs: []\noutputs: {o: {type: File, outputBinding: {glob: big}}}\n",
    )
    started = command.start("run", "--backend", "local", "--workdir", "work", "--outdir", "results", "sparse.cwl")
    until = time.monotonic() + 120
    while not list(command.directory.rglob("made")) and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(1)
    started.signal(signal.SIGINT)
    ended = started.ended()
    assert ended.code == 130, ended.stderr
    assert ended.seconds < READ_S / 2
