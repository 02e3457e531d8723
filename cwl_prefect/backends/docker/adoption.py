"""Taking over a container whose driver is gone.

While a driver lives it reads a container's streams itself. The engine keeps them too, so that another driver can have
every byte: in its ``local`` format, the only one that does not change bytes that are no text. What it keeps is bounded,
since it would otherwise double the disk that a large output takes; a container whose output outgrew that is run again.

Engines may lose the last lines of a log that is followed while its container ends, so that it is read after the end.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing
from datetime import UTC, datetime

from pydantic import JsonValue

from cwl_prefect.backends.docker.containers import KILLED, Launch, ended_now, outcome, unwritable
from cwl_prefect.backends.docker.descriptions import Description
from cwl_prefect.backends.docker.engine import DockerEngine
from cwl_prefect.backends.docker.errors import ContainerGoneError
from cwl_prefect.backends.docker.streams import Output, framed
from cwl_prefect.backends.naming import JOB_LABEL, job_labels, resource_name
from cwl_prefect.model.job import ContainerJob, JobOutcome, Reason

KEPT_MIB = 64
KEPT_LOG: Mapping[str, JsonValue] = {
    "type": "local",
    "config": {"max-size": f"{KEPT_MIB}m", "max-file": "2", "compress": "false"},
}
"""Log of a container that may be adopted; with two files, one of them is full once anything was dropped."""

NO_LOG: Mapping[str, JsonValue] = {"type": "none"}

_MOST_WHOLE = KEPT_MIB * (1 << 20)  # bytes
_BYTES_PER_PIECE = 128  # more than the engine writes beside each piece

_STOPPED = frozenset({KILLED, 143, 255})
"""Exit codes of containers that end with their engine: by its signals, or lost where it could send none."""


async def adopt(engine: DockerEngine, job: ContainerJob, image: str | None = None) -> Launch | None:
    """Wait for the container that another driver started for a job, and take its output when it has ended.

    It is removed, and None is returned, where it cannot be adopted or was stopped from outside while nobody watched it;
    None is also returned where there is none.

    Args:
        engine: Where it runs.
        job: What it was started for.
        image: Digest of the image that it has to run in; None: any.

    Raises:
        BackendError: The engine does not answer.
    """
    found = await engine.inspect(resource_name(job.job_id))
    if found is None:
        return None
    started_at = found.started
    try:
        adoptable = _is_same(found, job, image) and not _was_stopped(found) and await _is_whole(engine, found.id)
    except ContainerGoneError:
        adoptable = False
    if not adoptable or started_at is None:
        await engine.remove(found.id)
        return None
    # What ended by itself is taken as it ended, however late its new driver comes.
    age_s = (datetime.now(UTC) - started_at).total_seconds() if found.status == "running" else 0.0
    return Launch(
        job=job,
        reference=found.id,
        ended=asyncio.ensure_future(_end(engine, found.id, job, started_at)),
        image=found.image,
        started_at=started_at,
        started_s=time.monotonic() - max(0.0, age_s),
    )


async def _end(engine: DockerEngine, identifier: str, job: ContainerJob, started_at: datetime) -> JobOutcome:
    try:
        ended = await outcome(engine, identifier, job, started_at)
        if not await _is_whole(engine, identifier):
            message = f"it printed more than the {KEPT_MIB} MiB that the engine keeps, and its first driver was killed"
            return ended_now(job, started_at, Reason.LOST, message=message)
        output = await asyncio.to_thread(Output.open, job)
        try:
            await output.take(engine.log(identifier))
        finally:
            output.close()
    except ContainerGoneError as exc:
        return ended_now(job, started_at, Reason.LOST, message=str(exc))
    except OSError as exc:
        raise unwritable(job, exc) from exc
    return ended


def _is_same(found: Description, job: ContainerJob, image: str | None) -> bool:
    """Check whether a container was started for this job, runs in the same image, and never needed its driver."""
    labels = found.labels or {}
    return (
        labels.get(JOB_LABEL) == job.job_id
        and all(labels.get(name) == value for name, value in job_labels(job, {}).items())
        and image in (None, found.image)
        and job.stdin is None
        and not found.open_stdin
        and found.log_driver == KEPT_LOG["type"]
        and found.status in ("running", "exited")
    )


def _was_stopped(found: Description) -> bool:
    """Check whether a container ended unwatched as it does when its machine or its engine stops."""
    return found.status == "exited" and found.exit_code in _STOPPED and not found.out_of_memory


async def _is_whole(engine: DockerEngine, identifier: str) -> bool:
    """Check whether the engine surely keeps the output from its first byte: less than fills one file of its log."""
    total = 0
    async with aclosing(engine.log(identifier)) as chunks:
        async for frames in framed(chunks):
            total += sum(len(frame.data) + _BYTES_PER_PIECE for frame in frames)
            if total >= _MOST_WHOLE:
                return False
    return True
