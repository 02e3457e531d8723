"""What each run of a machine holds of its cores and memory, so that all runs together use no more than there is.

A table in a file has a row for each run, which only that run writes. A row counts as long as its lock is held, which
the kernel releases when the run's process ends, however it ends.
"""

import errno
import fcntl
import logging
import os
import shutil
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from cwl_prefect._lib.file_lock import FileLock, is_locked, try_lock
from cwl_prefect._lib.own_files import make_private
from cwl_prefect.engine.scheduling.machine import machine_name, machine_resources
from cwl_prefect.engine.scheduling.share import Share

_TABLE = "shares"
_FORMAT = struct.Struct("=4q")
_MOST_ROWS = 4096
_FORGOTTEN_NS = 2_000_000_000  # who waits asks all the time: one that does not was stopped, and would block the others
_UNSHARED = "this run shares cores and memory with no other run of this machine: %s"

_logger = logging.getLogger(__name__)


class _Row(NamedTuple):
    """What a run holds, its place among those that wait (0: it does not), and when it last asked, in nanoseconds."""

    cores: int = 0
    ram: int = 0
    place: int = 0
    asked_ns: int = 0

    @property
    def held(self) -> Share:
        """What its run holds."""
        return Share(self.cores, self.ram)

    def holding(self, held: Share) -> "_Row":
        """Return a row whose run holds something else."""
        return _Row(held.cores, held.ram, self.place, self.asked_ns)

    def waits(self, now_ns: int) -> bool:
        """Check whether its run waits."""
        return bool(self.place) and now_ns - self.asked_ns < _FORGOTTEN_NS


class MachineShares:
    """One run's row among those of all runs of a machine.

    Where several wait, the one that holds the smallest part of the machine is next, and among equals the one that has
    waited longest; nobody behind it gets anything, so that one that asks for much is not starved.

    Args:
        directory: Has the table and the locks of its rows.
        whole: What all runs have together.

    Raises:
        OSError: The directory cannot be made or written, or its file system has no locks.
    """

    def __init__(self, directory: Path, whole: Share) -> None:
        make_private(directory)
        self._directory = directory
        self.whole = whole
        self._number, self._lock = _free_row(directory)
        self._told = False
        self._own = _Row()
        self._table = os.open(directory / _TABLE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._write(self._own)

    def take(self, need: Share) -> bool:
        """Take a share, or wait for it: whoever does not get it asks again soon, and keeps its place meanwhile.

        Where the table cannot be read or written any more, everybody gets what they want.
        """
        try:
            return self._took(need)
        except BlockingIOError:
            return False  # another asks at this very moment, which takes microseconds unless it was stopped in them
        except OSError as error:
            if not self._told:
                _logger.warning(_UNSHARED, error)
            self._told = True
            return True

    def give_back(self, share: Share) -> None:
        """Let the others have what was taken."""
        with suppress(OSError):  # the next row that is written says it too
            self._write(self._own.holding(self._own.held.less(share)))

    def wait_no_more(self) -> None:
        """Let those behind this run go first."""
        if self._own.place:
            with suppress(OSError):
                self._write(self._own._replace(place=0))

    def close(self) -> None:
        """Let the others have all of it."""
        with suppress(OSError):
            self._write(_Row())
        os.close(self._table)
        self._lock.release()

    def _took(self, need: Share) -> bool:
        fcntl.flock(self._table, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            others = self._others()
            granted = self._is_due(need, others) or self._is_due(need, self._living(others))
            held = self._own.held.plus(need) if granted else self._own.held
            place = 0 if granted else self._own.place or 1 + max((row.place for row in others.values()), default=0)
            self._write(_Row(held.cores, held.ram, place, time.monotonic_ns()))
        finally:
            fcntl.flock(self._table, fcntl.LOCK_UN)
        return granted

    def _is_due(self, need: Share, others: dict[int, _Row]) -> bool:
        if not others:
            return need.fits(self.whole.less(self._own.held))
        taken, now_ns = self._own.held, time.monotonic_ns()
        own_rank = self._own.held.portion(self.whole), self._own.place or float("inf")
        for row in others.values():
            taken = taken.plus(row.held)
            if row.waits(now_ns) and (row.held.portion(self.whole), row.place) < own_rank:
                return False
        return need.fits(self.whole.less(taken))

    def _others(self) -> dict[int, _Row]:
        rows = enumerate(_FORMAT.iter_unpack(os.pread(self._table, _MOST_ROWS * _FORMAT.size, 0)))
        return {number: _Row(*packed) for number, packed in rows if number != self._number and any(packed)}

    def _living(self, others: dict[int, _Row]) -> dict[int, _Row]:
        """Return the rows of the others that live, and clear those of the others that do not."""
        return {number: row for number, row in others.items() if not self._cleared(number)}

    def _cleared(self, number: int) -> bool:
        lock = try_lock(self._directory / str(number))
        if lock is None:
            return False
        os.pwrite(self._table, _FORMAT.pack(*_Row()), number * _FORMAT.size)
        lock.release()
        return True

    def _write(self, row: _Row) -> None:
        self._own = row
        os.pwrite(self._table, _FORMAT.pack(*row), self._number * _FORMAT.size)


def _free_row(directory: Path) -> tuple[int, FileLock]:
    for number in range(_MOST_ROWS):
        if (lock := try_lock(directory / str(number))) is not None:
            return number, lock
    raise OSError(errno.EUSERS, os.strerror(errno.EUSERS), str(directory))


@contextmanager
def shares_of_machine(directory: Path) -> Iterator[MachineShares | None]:
    """Share this machine with the runs of all processes that name the same directory; None where it cannot be shared.

    Args:
        directory: Has a directory for each machine since its last start, since it may be on a shared file system.
    """
    resources = machine_resources()
    own = directory / machine_name(*resources)
    try:
        if not own.is_dir():
            _remove_unused(directory)
        shares = MachineShares(own, Share.of(*resources))
    except OSError as error:
        _logger.warning(_UNSHARED, error)
        yield None
        return
    try:
        yield shares
    finally:
        shares.close()


def _remove_unused(directory: Path) -> None:
    """Remove what earlier starts of machines left, which is used where a lock is held."""
    for earlier in directory.iterdir() if directory.is_dir() else ():
        if not any(is_locked(path) for path in earlier.iterdir() if path.name != _TABLE):
            shutil.rmtree(earlier, ignore_errors=True)
