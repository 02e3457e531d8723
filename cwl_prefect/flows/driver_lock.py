"""One driver for each run at a time, what it finds of an earlier one, and how others tell when it was killed."""

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from cwl_prefect._lib.background import alongside
from cwl_prefect._lib.file_lock import FileLock, is_locked, try_lock
from cwl_prefect._lib.own_files import make_private, make_within
from cwl_prefect.engine.records.manifest import MANIFEST
from cwl_prefect.engine.records.retention import MARK
from cwl_prefect.engine.staging.workspace import DRIVER_LOCK, SCRATCH, run_directory
from cwl_prefect.errors import BackendError, InputError

SIGN_OF_LIFE_S = 60.0
"""Most seconds between two signs of life of a driver."""


class Claim:
    """A run's directory, held by this driver until it is released or the context of this is left.

    Attributes:
        directory: Where its workspaces are.
        again: Whether an earlier driver began this run and was killed, or it failed and is run again.
    """

    def __init__(self, held: FileLock, *, again: bool) -> None:
        self.directory = held.path.parent
        self.again = again
        self._held: FileLock | None = held

    def release(self) -> None:
        """Let other drivers have it; once it is released, nothing is left to do."""
        held, self._held = self._held, None
        if held is not None:
            held.release()

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release it."""
        self.release()


def claim(runs: Path, run_id: str) -> Claim:
    """Hold a run's directory, made where there is none; what only one driver could use of it is removed.

    Raises:
        InputError: Another process drives this run.
        BackendError: The directory cannot be made.
    """
    directory = run_directory(runs, run_id)
    try:
        again = directory.is_dir()
        make_private(runs)
        make_within(directory)
        held = try_lock(directory / DRIVER_LOCK)
    except OSError as error:
        raise BackendError(
            f"the workspaces of the run cannot be made: {error}",
            hint="choose a writable directory with free space by --workdir",
        ) from error
    if held is None:
        raise InputError(
            f"the run {run_id} is being driven by another process ({_holder(directory)}).",
            hint="wait for it, or end it by `cwl-prefect runs interrupt`.",
        )
    claimed = Claim(held, again=again)
    try:
        held.write(f"{socket.gethostname()} {os.getpid()}\n")
        if again:
            shutil.rmtree(directory / SCRATCH, ignore_errors=True)
            (directory / MARK).unlink(missing_ok=True)
    except OSError:
        claimed.release()
        raise
    return claimed


@asynccontextmanager
async def seen_alive(claimed: Claim, adopt_s: float) -> AsyncIterator[None]:
    """Let the lock file of a run bear the time at which its driver was last alive, for as long as this is open.

    Args:
        claimed: The run.
        adopt_s: How long after its death what it started is left alone.
    """
    async with alongside(_tell_of_life(claimed.directory / DRIVER_LOCK, min(SIGN_OF_LIFE_S, max(adopt_s / 10, 1.0)))):
        yield


async def _tell_of_life(path: Path, interval_s: float) -> None:
    while True:
        await asyncio.sleep(interval_s)
        with contextlib.suppress(OSError):  # the run itself needs no sign
            await asyncio.to_thread(os.utime, path)  # a network file system may let it wait


def last_alive(directory: Path) -> float:
    """Return when a run was last known to be driven, in seconds since the epoch; 0 where nothing tells."""
    return max(_written_at(directory / name) for name in (MANIFEST, DRIVER_LOCK))


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def is_driven(directory: Path) -> bool:
    """Check whether some driver holds a run's directory, or may hold it, being another user's."""
    try:
        return is_locked(directory / DRIVER_LOCK)
    except PermissionError:
        return True


def _holder(directory: Path) -> str:
    try:
        host, _, pid = (directory / DRIVER_LOCK).read_text().partition(" ")
    except OSError:
        return "which one is not known"
    return f"process {pid.strip()} on {host}" if pid.strip() else "which one is not known"
