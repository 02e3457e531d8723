"""A small process that ends the processes of a driver that was killed; run as a script, with nothing but its input.

Its standard input is a pipe that ends with the driver, however that ends. Its argument is the descriptor of a file that
the driver writes as memory: a table of the session leaders that run. Whatever stands in it at the end is killed.
"""

import os
import signal
import sys
import time
from array import array
from contextlib import suppress

ROUNDS = 100
PAUSE_S = 0.02


Member = tuple[int, int]
"""Number of a process and when it was started, which tells it apart from a later one of the same number."""


def main() -> None:
    """Wait for the driver's end, then kill what it left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    leaders, members = guarded(int(sys.argv[1])), set[Member]()
    for _ in range(ROUNDS):
        members = family(leaders, members)
        if not members:
            return
        kill(members)
        time.sleep(PAUSE_S)


def guarded(table: int) -> set[int]:
    """Return the numbers of the processes in the table; zero is a free place."""
    numbers = array("i", os.pread(table, os.fstat(table).st_size, 0))
    return set(numbers) - {0}


def family(leaders: set[int], known: set[Member]) -> set[Member]:
    """Return the living processes of some sessions, and all descendants of those and of others found before.

    Args:
        leaders: Numbers of processes that lead their own sessions.
        known: Members found before; descendants of theirs are found even when the leader is gone.
    """
    processes = _processes()
    found = {member for member, (_, session) in processes.items() if session in leaders} | (known & processes.keys())
    while True:
        pids = {pid for pid, _ in found}
        children = {member for member, (parent, _) in processes.items() if parent in pids} - found
        if not children:
            return {member for member in found if member[0] != os.getpid()}
        found |= children


def kill(members: set[Member]) -> None:
    """Kill processes; those that ended meanwhile are no error."""
    for pid, _ in members:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def _processes() -> dict[Member, tuple[int, int]]:
    """Return parent and session of every living process."""
    found: dict[Member, tuple[int, int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - nothing else is imported
        if not name.isdigit():
            continue
        with suppress(OSError), open(f"/proc/{name}/stat", "rb") as stat:  # noqa: PTH123
            fields = stat.read().rpartition(b")")[2].split()
            if fields[0] not in (b"Z", b"X"):
                found[int(name), int(fields[19])] = (int(fields[1]), int(fields[3]))
    return found


if __name__ == "__main__":
    main()
    os._exit(0)
