"""Starting one container and following it to its end; everything here blocks and runs in threads."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol, TypeAlias

from cwl_prefect.backends.attach import Attachment
from cwl_prefect.backends.docker_end import ContainerEnd
from cwl_prefect.backends.docker_engine import DockerEngine
from cwl_prefect.backends.docker_errors import CommandRefusedError, ContainerGoneError, refusal
from cwl_prefect.backends.naming import resource_name
from cwl_prefect.backends.outcomes import open_output, signal_of, unstarted
from cwl_prefect.errors import BackendError
from cwl_prefect.model.job import ContainerJob, JobOutcome, Reason

_COMMAND_REFUSED = frozenset({126, 127})


class Threads(Protocol):
    """Gives a thread to something that runs as long as a container."""

    def submit(self, function: Callable[[], JobOutcome], /) -> "Future[JobOutcome]":
        """Run a function in a thread of its own."""
        ...


class Connection(Protocol):
    """What carries a container's output here."""

    def close(self) -> None:
        """End it; whoever is reading stops."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A container that was started, or the outcome of a job for which that was not possible."""

    job: ContainerJob
    reference: str
    ended: "Future[JobOutcome]"
    attachment: Connection | None = None  # None: there is no container
    image: str | None = None  # digest of what it runs in
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started_s: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Descriptors of the files that take a container's output; the same twice where both streams share a file."""

    stdout: int
    stderr: int

    @classmethod
    def open(cls, job: ContainerJob) -> "Output":
        """Open the files of a job, emptied.

        Raises:
            OSError: One cannot be opened.
        """
        stdout = open_output(job.stdout)
        if job.stderr == job.stdout:
            return cls(stdout=stdout, stderr=stdout)
        try:
            return cls(stdout=stdout, stderr=open_output(job.stderr))
        except OSError:
            os.close(stdout)
            raise

    def close(self) -> None:
        """Close them."""
        for descriptor in {self.stdout, self.stderr}:
            os.close(descriptor)


Settings: TypeAlias = Mapping[str, object]


def launch(
    engine: DockerEngine, threads: Threads, job: ContainerJob, settings: Settings, further_networks: Iterable[str] = ()
) -> Launch:
    """Create a container, connect to its streams, and start it; nothing is left if this raises.

    Args:
        engine: Where it runs.
        threads: Where it is followed to its end.
        job: What it runs.
        settings: What to create it with.
        further_networks: Networks that it joins besides the first.

    Raises:
        BackendError: The engine refuses the container.
    """
    try:
        output = Output.open(job)
    except OSError as exc:
        return _never_ran(unstarted(job, Reason.START_FAILED, f"{exc.strerror}: {exc.filename}"), job)
    with ExitStack() as undo:
        undo.callback(output.close)
        if job.stdin is not None and not os.access(job.stdin, os.R_OK):
            return _never_ran(unstarted(job, Reason.START_FAILED, f"its stdin {job.stdin} cannot be read"), job)
        identifier = engine.create(settings, image=job.image.name if job.image is not None else "")
        undo.callback(engine.remove, identifier)
        engine.connect_networks(identifier, further_networks)
        attachment = engine.attach(identifier, stdin=job.stdin is not None)
        undo.callback(attachment.close)
        try:
            engine.start(identifier)
        except CommandRefusedError as exc:
            return _never_ran(unstarted(job, exc.reason, str(exc)), job)
        started_at = datetime.now(UTC)
        ended = threads.submit(lambda: _follow(engine, identifier, attachment, output, job))
        undo.pop_all()
    image = str(settings["image"])
    return Launch(job=job, reference=identifier, ended=ended, attachment=attachment, image=image, started_at=started_at)


def _never_ran(outcome: JobOutcome, job: ContainerJob) -> Launch:
    ended: Future[JobOutcome] = Future()
    ended.set_result(outcome)
    return Launch(job=job, reference=resource_name(job.job_id), ended=ended)


def _follow(
    engine: DockerEngine, identifier: str, attachment: Attachment, output: Output, job: ContainerJob
) -> JobOutcome:
    started_at = datetime.now(UTC)
    try:
        if job.stdin is not None:
            threading.Thread(target=_feed, args=(attachment, job), name="docker-stdin", daemon=True).start()
        attachment.pump(output.stdout, output.stderr)
    except OSError as exc:
        raise BackendError(
            f"cannot write the output of {job.name} to {job.stdout.parent}: {exc.strerror}",
            hint="free space, or choose another directory with --workdir",
        ) from exc
    finally:
        attachment.close()
        output.close()
    try:
        end = engine.end_of(identifier)
    except ContainerGoneError as exc:
        return outcome_of(job, started_at, Reason.LOST, message=str(exc))
    return judged(job, started_at, end)


def _feed(attachment: Attachment, job: ContainerJob) -> None:
    if job.stdin is not None:
        with suppress(OSError):  # it was readable a moment ago; the command sees the end of its input
            attachment.feed(job.stdin)


def judged(job: ContainerJob, started_at: datetime, end: ContainerEnd) -> JobOutcome:
    """Tell from how a container ended what became of its job."""
    refused = refusal(end.error) if end.error and end.exit_code in _COMMAND_REFUSED else None
    if refused is not None:
        return outcome_of(job, started_at, refused.reason, message=str(refused))
    number = signal_of(end.exit_code)
    message = end.error or None
    reason = Reason.EXITED if number is None else Reason.SIGNALED
    if end.out_of_memory:
        reason = Reason.OUT_OF_MEMORY
    outcome = outcome_of(job, started_at, reason, exit_code=end.exit_code, number=number, message=message)
    return replace(outcome, memory_sufficed=not end.out_of_memory)


def outcome_of(
    job: ContainerJob,
    started_at: datetime,
    reason: Reason,
    *,
    exit_code: int | None = None,
    number: int | None = None,
    message: str | None = None,
) -> JobOutcome:
    """Give the outcome of a job whose container has ended now."""
    return JobOutcome(
        job_id=job.job_id,
        reason=reason,
        exit_code=exit_code,
        started_at=started_at,
        finished_at=datetime.now(UTC),
        message=message,
        signal=number,
    )
