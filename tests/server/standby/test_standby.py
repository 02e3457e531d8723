"""A process that stands by for the next call: the call is as one that ran by itself, whatever happens to either."""

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from cwl_prefect.server.standby import records
from tests.commandline.driving import CommandLine, Started, processes
from tests.commands import BIN, command_environment
from tests.waiting import until

pytestmark = pytest.mark.server

IDLE_S = 300
ALONE = {"CWL_PREFECT_STANDBY_IDLE_S": "0"}

TOOL = """
    cwlVersion: v1.2
    class: CommandLineTool
    requirements: {ShellCommandRequirement: {}}
    arguments: [{valueFrom: "$(inputs.script)", shellQuote: false}]
    inputs: {script: string}
    outputs: {text: {type: stdout}}
    """


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """A home whose runs leave a process behind, found by nobody else."""
    directory = tmp_path_factory.mktemp("home")
    for chosen in command_environment(directory):
        yield {**chosen, "CWL_PREFECT_STANDBY_IDLE_S": str(IDLE_S), "XDG_RUNTIME_DIR": str(directory), "TERM": "xterm"}


@pytest.fixture
def command(environment: Mapping[str, str], tmp_path: Path) -> CommandLine:
    """The commands, called from a directory with a tool that runs a line of shell."""
    directory = tmp_path / "work"
    directory.mkdir()
    command = CommandLine(environment=environment, directory=directory)
    command.write("tool.cwl", TOOL)
    return command


def standing(command: CommandLine, idle_s: int = IDLE_S) -> list[int]:
    """Give what stands by for the command's own variables."""
    found = records.standing(command.home, command.environment)
    return [pid for pid in found if f"CWL_PREFECT_STANDBY_IDLE_S={idle_s}\0" in variables_of(pid)]


def variables_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/environ").read_text()
    except OSError:
        return ""


def listens(pid: int) -> bool:
    return any("cwl-prefect-" in each.laddr for each in psutil.Process(pid).net_connections("unix"))


@pytest.fixture
def standby(command: CommandLine) -> int:
    """The process that stands by, which a run has left."""
    if not standing(command):
        shell(command, "true")
    until(lambda: any(map(listens, standing(command))))
    return standing(command)[0]


def shell(command: CommandLine, script: str, **variables: str) -> str:
    """Run a line of shell as a tool, and give what it printed."""
    ended = command.run("--no-cache", "tool.cwl", "--script", script, environment=variables)
    return Path(ended.outputs["text"]["path"]).read_text()


def sleeping(command: CommandLine, seconds: str) -> tuple[Started, psutil.Process]:
    """Start a call that sleeps, and give it with the process that runs it."""
    running = command.start("run", "--no-cache", "--outdir", command.outdir, "tool.cwl", "--script", f"sleep {seconds}")
    until(lambda: processes(["sleep", seconds]))
    tool = psutil.Process(processes(["sleep", seconds])[0])
    return running, next(each for each in tool.parents() if each.parent() and is_fork_of_standby(each))


def is_fork_of_standby(process: psutil.Process) -> bool:
    return any("stand_by" in part for part in process.cmdline())


def test_a_run_leaves_one_and_the_next_is_handed_over_to_it(command: CommandLine, standby: int) -> None:
    running, worker = sleeping(command, "0.511")

    assert running.process.pid not in [each.pid for each in worker.parents()]
    assert standby in [each.pid for each in worker.parents()]
    assert running.ended().code == 0
    assert standing(command) == [standby]


def test_what_is_handed_over_says_the_same(command: CommandLine, standby: int) -> None:
    assert standby
    for arguments in (["validate", "tool.cwl"], ["inputs", "tool.cwl"], ["validate", "missing.cwl"], ["run"], []):
        handed = command(*arguments)
        by_itself = command(*arguments, environment=ALONE)

        assert (handed.code, handed.stdout, handed.stderr) == (by_itself.code, by_itself.stdout, by_itself.stderr)


@pytest.mark.parametrize("code", [1, 33])
def test_it_exits_as_the_run_does(command: CommandLine, standby: int, code: int) -> None:
    assert standby
    call = ("--no-cache", "tool.cwl", "--script", f"exit {code}")

    handed, by_itself = command.run(*call), command.run(*call, environment=ALONE)

    assert handed.code == by_itself.code != 0
    assert f"it exited with code {code}" in handed.stderr


def test_directory_variables_and_mask_are_those_of_the_caller(command: CommandLine, standby: int) -> None:
    assert standby
    other = command.directory / "elsewhere"
    other.mkdir()
    line = f"umask 077; exec {BIN / 'cwl-prefect'} run --no-cache --outdir here ../tool.cwl --script 'echo made'"
    done = subprocess.run(["sh", "-c", line], cwd=other, env=command.environment, check=True, capture_output=True)

    made = Path(json.loads(done.stdout)["text"]["path"])
    assert made.parent == other / "here"
    assert made.read_text() == "made\n"
    assert made.stat().st_mode & 0o077 == 0


def test_a_terminal_stays_a_terminal(command: CommandLine, standby: int) -> None:
    assert standby
    line = shlex.join([str(BIN / "cwl-prefect"), "run", "--no-cache", "tool.cwl", "--script", "true"])
    seen = subprocess.run(
        ["script", "--quiet", "--return", "--command", line, "/dev/null"],
        cwd=command.directory, env=command.environment, check=True, capture_output=True,
    )  # fmt: skip

    assert b"\x1b[" in seen.stdout
    assert records.standing(command.home, command.environment) == [standby]


def test_other_variables_make_it_a_call_of_its_own(command: CommandLine, standby: int) -> None:
    assert standby
    other = {"CWL_PREFECT_STANDBY_IDLE_S": str(IDLE_S + 1)}
    running = command.start("run", "--no-cache", "tool.cwl", "--script", "sleep 0.512", environment=other)
    until(lambda: processes(["sleep", "0.512"]))

    assert running.process.pid in [each.pid for each in psutil.Process(processes(["sleep", "0.512"])[0]).parents()]
    assert running.ended().code == 0


def test_variables_of_another_terminal_are_those_of_its_calls(command: CommandLine, standby: int) -> None:
    for name in ("morning", "noon", "evening", "night"):
        other = {"SAMPLE": name, "SSH_TTY": f"/dev/pts/{name}", "CWL_PREFECT_MAX_PARALLEL": "2"}
        running = command.start("run", "--no-cache", "tool.cwl", "--script", "sleep 2.518", environment=other)
        until(lambda: processes(["sleep", "2.518"]))
        worker = next(
            each for each in psutil.Process(processes(["sleep", "2.518"])[0]).parents() if is_fork_of_standby(each)
        )
        assert standby in [each.pid for each in worker.parents()]
        assert running.ended().code == 0
        until(lambda: not processes(["sleep", "2.518"]))
    assert standing(command) == [standby]


def test_a_file_that_the_shell_opened_is_read(command: CommandLine, standby: int) -> None:
    assert standby
    line = f"{BIN / 'cwl-prefect'} run --no-cache tool.cwl <(echo 'script: echo from the shell')"
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=command.directory,
        env=command.environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("number", "seconds"),
    [
        pytest.param(signal.SIGINT, "60.11", id="ctrl-c"),
        pytest.param(signal.SIGTERM, "60.12", id="terminate"),
        pytest.param(signal.SIGHUP, "60.13", id="terminal-closed"),
    ],
)
def test_a_signal_ends_what_was_handed_over(
    command: CommandLine, standby: int, number: signal.Signals, seconds: str
) -> None:
    running, worker = sleeping(command, seconds)

    running.signal(number)
    ended = running.ended()

    assert ended.seconds < 5
    assert ended.code == 130
    assert "stopped" in ended.stderr
    until(lambda: not processes(["sleep", seconds]) and not worker.is_running())
    assert standing(command) == [standby]


def test_a_job_is_stopped_and_goes_on(command: CommandLine, standby: int) -> None:
    assert standby
    running, worker = sleeping(command, "1.513")

    running.signal(signal.SIGTSTP)
    until(lambda: worker.status() == psutil.STATUS_STOPPED)
    until(lambda: psutil.Process(running.process.pid).status() == psutil.STATUS_STOPPED)
    running.signal(signal.SIGCONT)

    assert running.ended().code == 0


def test_what_runs_for_a_killed_caller_is_killed(command: CommandLine, standby: int) -> None:
    running, worker = sleeping(command, "60.14")

    running.kill()

    until(lambda: not worker.is_running() and not processes(["sleep", "60.14"]))
    assert standing(command) == [standby]


def test_a_caller_ends_by_the_signal_that_killed_what_runs_for_it(command: CommandLine, standby: int) -> None:
    assert standby
    running, worker = sleeping(command, "60.15")

    worker.kill()

    assert running.ended().code == -signal.SIGKILL
    until(lambda: not processes(["sleep", "60.15"]))


def test_a_caller_fails_where_what_looks_after_its_run_is_killed(command: CommandLine, standby: int) -> None:
    assert standby
    running, worker = sleeping(command, "60.16")
    guard = worker.parent()
    assert guard is not None

    guard.kill()

    assert running.ended().code == 1
    until(lambda: not worker.is_running() and not processes(["sleep", "60.16"]))


def killed(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def stopped(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)


@pytest.mark.parametrize("happens", [killed, stopped])
def test_a_call_runs_by_itself_where_nothing_answers(
    command: CommandLine, standby: int, happens: Callable[[int], None]
) -> None:
    happens(standby)
    try:
        assert shell(command, "echo by itself") == "by itself\n"
    finally:
        killed(standby)


def test_what_was_handed_over_goes_on_without_it(command: CommandLine, standby: int) -> None:
    running, worker = sleeping(command, "1.517")

    killed(standby)

    assert running.ended().code == 0
    assert not worker.is_running()


def test_it_ends_with_the_server(command: CommandLine, standby: int) -> None:
    assert f"process {standby} waits" in command("server", "status").stdout

    command("server", "stop")

    assert standing(command) == []
    until(lambda: not psutil.pid_exists(standby))
    assert "waits" not in command("server", "status").stdout


def test_it_ends_when_nobody_calls(command: CommandLine) -> None:
    brief = {"CWL_PREFECT_STANDBY_IDLE_S": "1"}
    assert command.run("--no-cache", "tool.cwl", "--script", "true", environment=brief).code == 0
    runtime = Path(command.environment["XDG_RUNTIME_DIR"], f"cwl-prefect-{os.getuid()}")
    before = set(runtime.iterdir())
    until(lambda: standing(command, idle_s=1))

    until(lambda: not standing(command, idle_s=1))

    assert set(runtime.iterdir()) <= before


def test_a_command_that_runs_nothing_leaves_none(command: CommandLine) -> None:
    command("server", "stop")

    assert command("validate", "tool.cwl").code == 0

    assert standing(command) == []


def test_two_runs_that_are_handed_over_have_names_of_their_own(command: CommandLine, standby: int) -> None:
    assert standby
    names = set()
    for _ in range(2):
        ended = command.run("--no-cache", "tool.cwl", "--script", "true")
        names.update(line.split()[4] for line in ended.stderr.splitlines() if "run " in line and "http" in line)

    assert len(names) == 2
