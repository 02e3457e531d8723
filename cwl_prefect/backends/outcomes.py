"""How the end of a command becomes a JobOutcome, and the files that take its output."""

import os
import signal
from datetime import UTC, datetime
from pathlib import Path

from cwl_prefect.model.job import ContainerJob, JobOutcome, Reason
from cwl_prefect.model.usage import Usage

_SIGNALS = frozenset(int(number) for number in signal.valid_signals())

FIRST_SIGNAL_STATUS = 128
"""Exit codes above this say that a signal ended the command, as shells report it."""


def signal_of(exit_code: int) -> int | None:
    """Return which signal an exit code such as 137 stands for, or None where it stands for none."""
    number = exit_code - FIRST_SIGNAL_STATUS
    return number if number in _SIGNALS else None


def unstarted(job: ContainerJob, reason: Reason, message: str) -> JobOutcome:
    """Return the outcome of a job whose command could not be started."""
    now = datetime.now(UTC)
    return JobOutcome(
        job_id=job.job_id, reason=reason, exit_code=None, started_at=now, finished_at=now, message=message
    )


def timed_out(job: ContainerJob, started_at: datetime, *, usage: Usage | None = None) -> JobOutcome:
    """Return the outcome of a job that was killed for being late."""
    return JobOutcome(
        job_id=job.job_id,
        reason=Reason.TIMED_OUT,
        exit_code=None,
        started_at=started_at,
        finished_at=datetime.now(UTC),
        message=f"it ran longer than its time limit of {job.timeout_s} s",
        usage=usage or Usage(),
    )


def open_output(path: Path) -> int:
    """Open a file for a command's output, emptied, and return its descriptor.

    A symbolic link is refused: staging links input files into the output directory, and following such a link would
    overwrite the user's own file.

    Raises:
        OSError: It cannot be opened, or is a symbolic link.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o666)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags, 0o666)
