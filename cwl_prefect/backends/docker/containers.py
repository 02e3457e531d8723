"""Starting one container and following it to its end."""

import asyncio
import errno
import os
import time
from collections.abc import Awaitable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from cwl_prefect.backends.docker.engine import DockerEngine
from cwl_prefect.backends.docker.errors import CommandRefusedError, ContainerGoneError, plain, refusal
from cwl_prefect.backends.docker.measuring import Measuring
from cwl_prefect.backends.docker.streams import Attachment, Output
from cwl_prefect.backends.naming import resource_name
from cwl_prefect.backends.outcomes import signal_of, unstarted
from cwl_prefect.errors import BackendError
from cwl_prefect.model.job import ContainerJob, JobOutcome, Reason

KILLED = 137
PATIENCE_S = 2.0
"""How long to wait for the word that a container wanted memory, which an engine under load has after the end."""

_COMMAND_REFUSED = frozenset({126, 127})


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A container that was started, or the outcome of a job for which that was not possible."""

    job: ContainerJob
    reference: str
    ended: asyncio.Future[JobOutcome]
    exists: bool = True
    image: str | None = None  # digest of what it runs
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started_s: float = field(default_factory=time.monotonic)


async def launch(
    engine: DockerEngine,
    job: ContainerJob,
    settings: Mapping[str, object],
    further_networks: Iterable[str] = (),
    *,
    measuring: Measuring,
) -> Launch:
    """Create a container, connect to its streams, and start it; nothing is left if this raises.

    Args:
        engine: Where it runs.
        job: What it runs.
        settings: What to create it with.
        further_networks: Networks that it joins besides the first.
        measuring: Reads what it uses.

    Raises:
        BackendError: The engine refuses the container.
    """
    try:
        output = await asyncio.to_thread(_opened, job)
    except OSError as exc:
        return _never_ran(job, Reason.START_FAILED, f"{exc.strerror}: {exc.filename}")
    async with AsyncExitStack() as undo:
        undo.callback(output.close)
        identifier = await engine.create(settings, image=job.image.name if job.image is not None else "")
        undo.push_async_callback(engine.remove, identifier)
        await engine.connect_networks(identifier, further_networks)
        attachment = await engine.attach(identifier, stdin=job.stdin is not None)
        undo.callback(attachment.close)
        measuring.follow(identifier)
        undo.callback(measuring.usage, identifier)
        try:
            await engine.start(identifier)
        except CommandRefusedError as exc:
            return _never_ran(job, exc.reason, str(exc))
        started_at = datetime.now(UTC)
        ended = asyncio.ensure_future(
            _measured(measuring, _follow(engine, identifier, attachment, output, job), identifier)
        )
        undo.pop_all()
    return Launch(job=job, reference=identifier, ended=ended, started_at=started_at)


async def _measured(measuring: Measuring, following: Awaitable[JobOutcome], identifier: str) -> JobOutcome:
    outcome = await following
    return replace(outcome, usage=measuring.usage(identifier), container=identifier)


def _opened(job: ContainerJob) -> Output:
    if job.stdin is not None and not os.access(job.stdin, os.R_OK):
        raise FileNotFoundError(errno.ENOENT, "its stdin cannot be read", str(job.stdin))
    return Output.open(job)


def _never_ran(job: ContainerJob, reason: Reason, message: str) -> Launch:
    ended = asyncio.get_running_loop().create_future()
    ended.set_result(unstarted(job, reason, message))
    return Launch(job=job, reference=resource_name(job.job_id), ended=ended, exists=False)


async def _follow(
    engine: DockerEngine, identifier: str, attachment: Attachment, output: Output, job: ContainerJob
) -> JobOutcome:
    started_at = datetime.now(UTC)
    feeding = None if job.stdin is None else asyncio.ensure_future(attachment.feed(job.stdin))
    try:
        await output.take(attachment.chunks())
    except OSError as exc:
        raise unwritable(job, exc) from exc
    finally:
        if feeding is not None:
            feeding.cancel()
        attachment.close()
        output.close()
    try:
        return await outcome(engine, identifier, job, started_at)
    except ContainerGoneError as exc:
        return ended_now(job, started_at, Reason.LOST, message=str(exc))


def unwritable(job: ContainerJob, exc: OSError) -> BackendError:
    """Return the error for output that cannot be written."""
    return BackendError(
        f"cannot write the output of {job.name} to {job.stdout.parent}: {exc.strerror}",
        hint="free space, or choose another directory with --workdir",
    )


async def outcome(engine: DockerEngine, identifier: str, job: ContainerJob, started_at: datetime) -> JobOutcome:
    """Wait for the end of a container, and return what became of its job.

    One with a memory limit that was killed is asked for in the engine's events too.

    Raises:
        ContainerGoneError: It was removed, or the engine does not answer any more.
    """
    exit_code = await engine.exit_code(identifier)
    if exit_code == 0:
        return replace(ended_now(job, started_at, Reason.EXITED, exit_code=0), memory_sufficed=True)
    found = await engine.described(identifier)
    error, out_of_memory = plain(found.error), found.out_of_memory
    if exit_code == KILLED and found.memory_limit and not out_of_memory:
        out_of_memory = await engine.ran_out_of_memory(identifier, patience_s=PATIENCE_S)
    refused = refusal(error) if error and exit_code in _COMMAND_REFUSED else None
    if refused is not None:
        return ended_now(job, started_at, refused.reason, message=str(refused))
    number = signal_of(exit_code)
    reason = Reason.OUT_OF_MEMORY if out_of_memory else Reason.EXITED if number is None else Reason.SIGNALED
    judged = ended_now(job, started_at, reason, exit_code=exit_code, message=error or None)
    return replace(judged, signal=number, memory_sufficed=not out_of_memory)


def ended_now(
    job: ContainerJob,
    started_at: datetime,
    reason: Reason,
    *,
    exit_code: int | None = None,
    message: str | None = None,
) -> JobOutcome:
    """Return the outcome of a job whose container has ended now."""
    return JobOutcome(
        job_id=job.job_id,
        reason=reason,
        exit_code=exit_code,
        started_at=started_at,
        finished_at=datetime.now(UTC),
        message=message,
    )
