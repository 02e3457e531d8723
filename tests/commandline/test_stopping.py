"""Runs that are stopped: by a key, by the terminal, by time, by a reader that goes away; nothing stays behind."""

import signal
from pathlib import Path

import pytest

from tests.commandline.driving import (
    CommandLine,
    Started,
    assert_nothing_written,
    assert_refused,
    processes,
)
from tests.waiting import until

pytestmark = pytest.mark.server

SLEEP = """
    cwlVersion: v1.2
    class: CommandLineTool
    HINTS
    baseCommand: [sleep]
    inputs: {seconds: {type: string, inputBinding: {}}}
    outputs: {text: stdout}
    """


def started(command: CommandLine, seconds: str, *options: str) -> Started:
    command.write("sleep.cwl", SLEEP.replace("HINTS", ""))
    running = command.start("run", "--outdir", command.outdir, *options, "sleep.cwl", "--seconds", seconds)
    until(lambda: processes(["sleep", seconds]))
    return running


@pytest.mark.parametrize(
    ("number", "seconds"),
    [
        pytest.param(signal.SIGINT, "60.01", id="ctrl-c"),
        pytest.param(signal.SIGTERM, "60.02", id="terminate"),
        pytest.param(signal.SIGHUP, "60.03", id="terminal-closed"),
    ],
)
def test_a_signal_ends_the_run_and_its_processes(command: CommandLine, number: signal.Signals, seconds: str) -> None:
    running = started(command, seconds)

    running.signal(number)
    ended = running.ended()

    assert ended.seconds < 5
    assert_refused(ended, 130, "stopped", outdir=command.outdir)
    assert processes(["sleep", seconds]) == []


def test_a_signal_while_documents_are_loaded_ends_it_too(command: CommandLine) -> None:
    command.write("sleep.cwl", SLEEP.replace("HINTS", ""))
    running = command.start("run", "--outdir", command.outdir, "sleep.cwl", "--seconds", "60.04")
    until(lambda: "SIGTERM" in caught_signals(running.process.pid))

    running.signal(signal.SIGINT)
    ended = running.ended()

    assert ended.seconds < 5
    assert ended.code == 130
    assert "Traceback" not in ended.stderr
    assert processes(["sleep", "60.04"]) == []


def caught_signals(pid: int) -> set[str]:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            caught = int(line.split()[1], 16)
            return {each.name for each in signal.Signals if caught >> (each - 1) & 1}
    return set()


@pytest.mark.docker
def test_a_signal_ends_containers(command: CommandLine) -> None:
    import docker

    engine = docker.from_env()
    command.write("sleep.cwl", SLEEP.replace("HINTS", "requirements: {DockerRequirement: {dockerPull: busybox}}"))
    running = command.start("run", "--outdir", command.outdir, "sleep.cwl", "--seconds", "60.05")

    def ours() -> list[object]:
        listed = engine.containers.list(all=True, sparse=True)  # sparse: another's container may go meanwhile
        return [each for each in listed if "60.05" in each.attrs["Command"]]

    until(ours)

    running.signal(signal.SIGINT)
    ended = running.ended()

    assert ended.seconds < 5
    assert_refused(ended, 130, "stopped", outdir=command.outdir)
    assert ours() == []
    engine.close()


def test_a_run_that_takes_too_long_is_stopped(command: CommandLine) -> None:
    command.write("sleep.cwl", SLEEP.replace("HINTS", ""))

    ended = command.run("--timeout", "2", "sleep.cwl", "--seconds", "60.06")

    assert_refused(ended, 21, "took longer than 2 s", "--timeout", outdir=command.outdir)
    assert ended.seconds < 60  # the tool itself would take longer, and starting takes its time on a busy machine
    assert processes(["sleep", "60.06"]) == []


def test_a_reader_that_went_away_is_no_bug(command: CommandLine) -> None:
    command.write("tool.cwl", SLEEP.replace("HINTS", ""))
    running = command.start("run", "--outdir", command.outdir, "tool.cwl", "--seconds", "0")
    assert running.process.stdout is not None
    running.process.stdout.close()

    code = running.process.wait(timeout=60)
    assert running.process.stderr is not None
    stderr = running.process.stderr.read()

    assert code == 141
    assert "Traceback" not in stderr
    assert "rror" not in stderr


@pytest.mark.parametrize("arguments", [["graph"], ["inputs"], ["compile"]])
def test_other_commands_stand_a_reader_that_went_away(command: CommandLine, arguments: list[str]) -> None:
    command.write("tool.cwl", SLEEP.replace("HINTS", ""))
    running = command.start(*arguments, "tool.cwl")
    assert running.process.stdout is not None
    running.process.stdout.close()

    code = running.process.wait(timeout=60)
    assert running.process.stderr is not None

    assert code == 141
    assert running.process.stderr.read() == ""


def test_a_stopped_run_leaves_the_server_to_others(command: CommandLine) -> None:
    running = started(command, "60.07")
    running.signal(signal.SIGINT)
    running.ended()

    command.write("tool.cwl", SLEEP.replace("HINTS", ""))

    assert command.run("tool.cwl", "--seconds", "0").code == 0
    assert_nothing_written(command.directory / "nowhere")
