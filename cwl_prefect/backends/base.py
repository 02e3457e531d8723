"""What every backend promises."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from cwl_prefect._lib.cancellation import shielded
from cwl_prefect.model.job import ContainerJob, DockerImage, JobOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a backend can do, so that staging can choose."""

    containers: bool  # runs images; otherwise plain processes
    mounts: bool  # shows files at other paths; otherwise staging links them
    outlives_driver: bool = False  # jobs go on when the driver is killed, so that the next one may adopt them
    schedules: bool = False  # finds room for jobs by itself, on other machines than this one


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHandle:
    """A job that was started; `reference` is the engine's own name for it (pid, container id, Job name)."""

    job: ContainerJob
    reference: str


class Backend(Protocol):
    """Runs jobs.

    1. ``start`` gives a handle once the job exists, or raises BackendError (ImageError for its image); nothing is left
       if it raises.
    2. A job whose command cannot be started still has an outcome (CommandNotFound, CommandNotExecutable, StartFailed).
    3. ``wait`` ends with the job and gives the exit code and why it ended; the files ``stdout`` and ``stderr`` then
       hold every byte.
    4. A job past its ``timeout_s`` is killed with all its children; its reason is TimedOut.
    5. ``wait`` may be cancelled at any moment; ``delete`` must then be called.
    6. ``delete`` kills what still runs and removes every trace but the files; it may be called twice and does not raise
       for a job that is gone.
    7. A job that was never deleted outlives its driver where the backend says so: ``adopt`` gives a handle of it,
       running or ended, to the next driver; every promise above then holds as if that driver had started it. Where
       there is nothing to adopt, ``adopt`` leaves nothing of the job behind.
    8. Jobs never see a PREFECT_* variable of the driver, nor any variable that the job does not name.
    """

    @property
    def name(self) -> str:
        """Name for people, as ``docker``."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this backend can do."""
        ...

    async def start(self, job: ContainerJob) -> JobHandle:
        """Start a job."""
        ...

    async def adopt(self, job: ContainerJob) -> JobHandle | None:
        """Take over what an earlier driver started under the same job id and with the same labels.

        Nothing is adopted whose labels differ, whose input ended with its driver, or whose output is no longer whole:
        it is removed, and None is given, as where there is nothing.

        Args:
            job: The job as it would be started; its ``stdout`` and ``stderr`` are written anew from the beginning. It
                was not staged: its mounts are not looked at.

        Raises:
            BackendError: The backend cannot tell.
        """
        ...

    async def wait(self, handle: JobHandle) -> JobOutcome:
        """Wait for the end of a job."""
        ...

    async def delete(self, handle: JobHandle) -> None:
        """Remove a job, killing it if it runs."""
        ...

    async def close(self) -> None:
        """Close connections; no job of this backend may run any more."""
        ...


class UnidentifiedError(Exception):
    """What a tool would run in cannot be told; the text says why."""


@runtime_checkable
class Identifying(Protocol):
    """A backend whose calls may be cached, because it can tell what they run in."""

    async def identify(self, image: DockerImage | None, *, step: str) -> str | None:
        """Return by what content a tool runs, the same on every machine: the image's digest, or the kind of machine.

        Args:
            image: The image that the tool names; None: it runs as a process.
            step: Path of the step, whose settings of the platform count if they can change a result.

        Returns:
            None where it cannot be told; such calls are not cached.

        Raises:
            UnidentifiedError: It cannot be told, and there is something to say about it.
            ImageError: The image cannot be had.
            BackendError: The engine does not answer.
        """
        ...


async def execute(backend: Backend, job: ContainerJob) -> JobOutcome:
    """Run a job from start to end and leave nothing behind, also when cancelled.

    Raises:
        BackendError: The backend could not start it.
    """
    return await finish(backend, await backend.start(job))


async def finish(backend: Backend, handle: JobHandle) -> JobOutcome:
    """Wait for a job that was started or adopted and leave nothing behind, also when cancelled."""
    try:
        return await backend.wait(handle)
    finally:
        await delete_shielded(backend, handle)


@asynccontextmanager
async def ended(backend: Backend, handle: JobHandle) -> AsyncIterator[JobOutcome]:
    """Wait for a job that was started or adopted, and leave nothing behind, also when cancelled.

    What outlives its driver is deleted only after the body, which keeps its result: a driver that is killed until then
    leaves it to the next one, which need not run it again. Anything else is deleted before, so that nothing of it runs
    while its outputs are collected.
    """
    if not backend.capabilities.outlives_driver:
        yield await finish(backend, handle)
        return
    try:
        yield await backend.wait(handle)
    finally:
        await delete_shielded(backend, handle)


async def delete_shielded(backend: Backend, handle: JobHandle) -> None:
    """Delete a job even while the caller is being cancelled, also more than once."""
    await shielded(backend.delete(handle))
