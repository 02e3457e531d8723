"""A backend that runs nothing: for tests of workflows, ours and our users'."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from inspect import isawaitable, iscoroutine
from typing import TypeAlias

from cwl_prefect._lib.cancellation import cancel_and_wait
from cwl_prefect.backends.base import Capabilities, JobHandle
from cwl_prefect.backends.outcomes import signal_of, timed_out
from cwl_prefect.errors import BackendError
from cwl_prefect.model.job import ContainerJob, JobOutcome, Reason

Handler: TypeAlias = Callable[[ContainerJob], int | JobOutcome | Awaitable[int | JobOutcome]]
"""Plays a tool: gives its exit code or whole outcome, and may write the files that the tool would have written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Play:
    job: ContainerJob
    answer: int | JobOutcome | Awaitable[int | JobOutcome]
    task: asyncio.Task[JobOutcome]
    started_at: datetime
    started_s: float


class FakeBackend:
    """Lets a function play every tool.

    Files are where the job says, as for a process of this machine: the handler writes outputs below ``job.workdir``,
    and may write ``job.stdout`` and ``job.stderr``, which are empty otherwise. A BackendError that the handler raises
    is one of ``start``.

    Examples:
        >>> from cwl_prefect import FakeBackend
        >>> backend = FakeBackend(lambda job: 0 if job.command[0] == "echo" else 7)

    Args:
        handler: What plays the tools; without one, every tool ends well and writes nothing.
        containers: Whether to appear as something that runs images.

    Attributes:
        jobs: Every job so far, in the order of starting.
    """

    def __init__(self, handler: Handler = lambda _: 0, *, containers: bool = True) -> None:
        self.jobs: list[ContainerJob] = []
        self._handler = handler
        self._capabilities = Capabilities(containers=containers, mounts=False, outlives_driver=True)
        self._plays: dict[str, _Play] = {}

    @property
    def name(self) -> str:
        """Name for people."""
        return "fake"

    @property
    def capabilities(self) -> Capabilities:
        """What it was made to appear as."""
        return self._capabilities

    async def start(self, job: ContainerJob) -> JobHandle:
        """Call the handler.

        Raises:
            BackendError: The handler raised it.
        """
        self.jobs.append(job)
        for path in (job.stdout, job.stderr):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        started_at = datetime.now(UTC)
        answer = self._handler(job)
        task = asyncio.ensure_future(_played(job, started_at, answer))
        reference = str(len(self.jobs))
        self._plays[reference] = _Play(
            job=job, answer=answer, task=task, started_at=started_at, started_s=asyncio.get_running_loop().time()
        )
        return JobHandle(job=job, reference=reference)

    async def adopt(self, job: ContainerJob) -> JobHandle | None:
        """Return what was started here under the same id, and cancel it where its labels or its input say otherwise."""
        found = [(name, play) for name, play in self._plays.items() if play.job.job_id == job.job_id]
        for reference, play in found:
            if play.job.labels == job.labels and play.job.stdin is None:
                return JobHandle(job=job, reference=reference)
            await self.delete(JobHandle(job=job, reference=reference))
        return None

    async def wait(self, handle: JobHandle) -> JobOutcome:
        """Wait for the handler's answer; one that is late is cancelled.

        Raises:
            BackendError: The job is not one of this backend, or was deleted.
        """
        play = self._plays.get(handle.reference)
        if play is None:
            raise BackendError(f"no job {handle.reference} of {handle.job.name} was started here")
        limit_s = play.job.timeout_s
        remaining_s = (
            None if limit_s is None else max(0.0, play.started_s + limit_s - asyncio.get_running_loop().time())
        )
        await asyncio.wait([play.task], timeout=remaining_s)
        if limit_s is None or play.task.done():
            return await play.task
        await _cancel(play)
        return timed_out(play.job, play.started_at)

    async def delete(self, handle: JobHandle) -> None:
        """Cancel the handler if it still plays."""
        play = self._plays.pop(handle.reference, None)
        if play is not None:
            await _cancel(play)

    async def close(self) -> None:
        """Cancel every handler that still plays."""
        for reference, play in tuple(self._plays.items()):
            await self.delete(JobHandle(job=play.job, reference=reference))


async def _played(
    job: ContainerJob, started_at: datetime, answer: int | JobOutcome | Awaitable[int | JobOutcome]
) -> JobOutcome:
    result = await answer if isawaitable(answer) else answer
    if isinstance(result, JobOutcome):
        return result
    number = signal_of(result)
    return JobOutcome(
        job_id=job.job_id,
        reason=Reason.EXITED if number is None else Reason.SIGNALED,
        exit_code=result,
        started_at=started_at,
        finished_at=datetime.now(UTC),
        signal=number,
    )


async def _cancel(play: _Play) -> None:
    await cancel_and_wait(play.task)
    if iscoroutine(play.answer):
        play.answer.close()  # it may never have begun
