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


def main() -> None:
    """Wait for the driver's end, then kill what it left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    leaders = guarded(int(sys.argv[1]))
    members = set(leaders)
    for _ in range(ROUNDS):
        members = family(leaders, members)
        if not members:
            return
        for pid in members:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(PAUSE_S)


def guarded(table: int) -> set[int]:
    """Read the numbers of the processes in the table; zero is a free place."""
    numbers = array("i", os.pread(table, os.fstat(table).st_size, 0))
    return set(numbers) - {0}


def family(leaders: set[int], known: set[int]) -> set[int]:
    """Find the living processes of some sessions, and all descendants of those and of others that were found before."""
    processes = _processes()
    found = {pid for pid, (_, session) in processes.items() if session in leaders}
    found |= {pid for pid in known if pid in processes and pid not in leaders}
    while True:
        children = {pid for pid, (parent, _) in processes.items() if parent in found} - found
        if not children:
            return found - {os.getpid()}
        found |= children


def _processes() -> dict[int, tuple[int, int]]:
    """Give parent and session of every living process."""
    found = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - nothing else is imported
        if not name.isdigit():
            continue
        with suppress(OSError), open(f"/proc/{name}/stat", "rb") as stat:  # noqa: PTH123
            state, parent, _, session = stat.read().rpartition(b")")[2].split()[:4]
            if state not in (b"Z", b"X"):
                found[int(name)] = (int(parent), int(session))
    return found


if __name__ == "__main__":
    main()
    os._exit(0)
