"""One driver for each run at a time, and what it finds of an earlier one."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cwl_prefect.engine.retention import MARK
from cwl_prefect.engine.workspace import DRIVER_LOCK, SCRATCH, run_directory
from cwl_prefect.errors import BackendError, ServerError
from cwl_prefect.flows.file_lock import is_locked, try_lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A run's directory, held by this driver.

    Attributes:
        directory: Where its workspaces are.
        again: Whether an earlier driver began this run and was killed, or it failed and is run again.
    """

    directory: Path
    again: bool


@contextmanager
def claim(runs: Path, run_id: str) -> Iterator[Claim]:
    """Hold a run's directory, made where there is none; what only one driver could use of it is removed.

    Raises:
        ServerError: Another process drives this run.
        BackendError: The directory cannot be made.
    """
    directory = run_directory(runs, run_id)
    try:
        again = directory.is_dir()
        directory.mkdir(parents=True, exist_ok=True)
        held = try_lock(directory / DRIVER_LOCK)
    except OSError as error:
        raise BackendError(
            f"the workspaces of the run cannot be made: {error}",
            hint="choose a writable directory with free space by --workdir",
        ) from error
    if held is None:
        raise ServerError(
            f"the run {run_id} is being driven by another process ({_holder(directory)}).",
            hint="wait for it, or end it by `cwl-prefect runs interrupt`.",
        )
    try:
        held.write(f"{socket.gethostname()} {os.getpid()}\n")
        if again:
            shutil.rmtree(directory / SCRATCH, ignore_errors=True)
            (directory / MARK).unlink(missing_ok=True)
        yield Claim(directory=directory, again=again)
    finally:
        held.release()


def is_driven(directory: Path) -> bool:
    """Tell whether some driver holds a run's directory."""
    return is_locked(directory / DRIVER_LOCK)


def _holder(directory: Path) -> str:
    try:
        host, _, pid = (directory / DRIVER_LOCK).read_text().partition(" ")
    except OSError:
        return "which one is not known"
    return f"process {pid.strip()} on {host}" if pid.strip() else "which one is not known"
