"""Run a command as its user would, and say how long it took and how much memory it held."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

STDERR_LINES = 15


class BenchError(Exception):
    """A measured command failed or gave a wrong result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a command, from its start to its end."""

    wall_s: float
    cpu_s: float  # of the command and the processes that it waited for
    peak_rss_mib: float  # of the largest process among the command and those it waited for
    stdout: bytes


def run(
    command: Sequence[str], *, env: Mapping[str, str], logs: Path, timeout_s: float = 1800.0, exit_code: int = 0
) -> Run:
    """Run a command with its standard streams in files, so that nothing waits for a reader.

    Raises:
        BenchError: It exited with another code, or took too long.
    """
    out, err = logs / "stdout", logs / "stderr"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        begin = perf_counter()
        process = subprocess.Popen(
            command, env=env, cwd=logs, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True
        )
        signal.signal(signal.SIGALRM, lambda *_: os.killpg(process.pid, signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, timeout_s)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        wall_s = perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != exit_code:
        last = "\n".join(err.read_text("utf-8", "replace").splitlines()[-STDERR_LINES:])
        raise BenchError(
            f"{' '.join(map(str, command))}\nexited with {process.returncode} after {wall_s:.1f} s:\n{last}"
        )
    cpu_s = usage.ru_utime + usage.ru_stime
    return Run(wall_s=wall_s, cpu_s=cpu_s, peak_rss_mib=usage.ru_maxrss / 1024, stdout=out.read_bytes())
