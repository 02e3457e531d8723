"""Processes that end with their driver, even if it is killed and can do nothing for that any more."""

import mmap
import struct
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

NUMBER = struct.Struct("=i")
TABLE_BYTES = 16_384 * NUMBER.size  # more processes at once go unguarded

_SCRIPT = Path(__file__).with_name("watchdog_process.py")
_END_S = 5.0


class Watchdog:
    """Knows the processes that a driver started, and outlives it just long enough to end them.

    It is a process of its own, made with the first process that it guards; where it cannot be made or is killed
    itself, processes are started all the same.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._table: mmap.mmap | None = None
        self._places: dict[int, int] = {}  # of each guarded process in the table
        self._free: list[int] = []

    def started(self, leader: int) -> None:
        """Guard a session leader with all that it starts."""
        if self._process is None:
            self._begin()
        if self._table is None or not self._free:
            return
        place = self._places[leader] = self._free.pop()
        NUMBER.pack_into(self._table, place, leader)

    def ended(self, leader: int) -> None:
        """Guard a process no longer; to be called while its number is still its own."""
        place = self._places.pop(leader, None)
        if place is not None and self._table is not None:
            NUMBER.pack_into(self._table, place, 0)
            self._free.append(place)

    def close(self) -> None:
        """End the watchdog, with whatever it guards."""
        if self._process is not None:
            if not self._places:
                self._process.kill()  # nothing is left to look for, which takes it many times longer than its end
            with suppress(OSError, subprocess.TimeoutExpired):
                self._process.communicate(timeout=_END_S)
        if self._table is not None:
            self._table.close()
        self._process = self._table = None
        self._places.clear()

    def _begin(self) -> None:
        """Start the watchdog with a table in memory that both see: a word by a pipe would wake it for each process."""
        with suppress(OSError), tempfile.TemporaryFile() as file:
            file.truncate(TABLE_BYTES)
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_SCRIPT), str(file.fileno())],
                cwd="/",
                env={},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=[file.fileno()],
            )
            self._table = mmap.mmap(file.fileno(), TABLE_BYTES)
            self._free = list(range(TABLE_BYTES - NUMBER.size, -1, -NUMBER.size))
