"""The fake backend: the contract, played by functions, and what users' tests rely on."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cwl_prefect.backends.base import execute
from cwl_prefect.backends.fake import FakeBackend
from cwl_prefect.errors import BackendError, ImageError
from cwl_prefect.model.job import ContainerJob, JobOutcome, Reason
from tests.contract import backend_contract as commands
from tests.contract.backend_contract import AdoptionContract, BackendCase, JobMaker


def unstarted(job: ContainerJob, reason: Reason) -> JobOutcome:
    now = datetime.now(UTC)
    message = f"{job.command[0]}: {reason}"
    return JobOutcome(
        job_id=job.job_id, reason=reason, exit_code=None, started_at=now, finished_at=now, message=message
    )


async def sleep(job: ContainerJob) -> int:
    job.stdout.write_text("started\n")
    await asyncio.sleep(300)
    return 0


async def write_slowly(job: ContainerJob) -> int:
    with job.stdout.open("a") as file:
        file.write("begun\n")
        file.flush()
        await asyncio.sleep(0.1)
        file.write("ended")
    job.stderr.write_text("err")
    return 3


def copy_stdin(job: ContainerJob) -> int:
    if job.stdin is not None:
        job.stdout.write_bytes(job.stdin.read_bytes())
    return 0


def write_streams(job: ContainerJob) -> int:
    for path, text in ((job.stdout, "out"), (job.stderr, "err")):
        with path.open("a") as file:
            file.write(text)
    return 0


def write_file(job: ContainerJob) -> int:
    Path(job.workdir, "where").write_text(job.workdir)
    Path(job.workdir, "made").write_text("data\n")
    return 0


def write_environment(job: ContainerJob) -> int:
    job.stdout.write_text("".join(f"{name}={value}\n" for name, value in job.env.items()))
    return 0


PLAYS = {
    commands.ECHO_STDIN: copy_stdin,
    commands.ENVIRONMENT: write_environment,
    commands.EXIT_7: lambda _: 7,
    commands.KILLED: lambda _: 137,
    commands.MISSING: lambda job: unstarted(job, Reason.NOT_FOUND),
    commands.MISSING_PATH: lambda job: unstarted(job, Reason.NOT_FOUND),
    commands.NOT_EXECUTABLE: lambda job: unstarted(job, Reason.NOT_EXECUTABLE),
    commands.SILENT: lambda _: 0,
    commands.SLEEP: sleep,
    commands.SLEEPING_CHILDREN: sleep,
    commands.SLOW_STREAMS: write_slowly,
    commands.TWO_STREAMS: write_streams,
    commands.WRITE_FILE: write_file,
}


class TestContract(AdoptionContract):
    time_limit_s = 0.1

    @pytest.fixture
    async def backend(self) -> AsyncIterator[FakeBackend]:
        backend = FakeBackend(lambda job: PLAYS[job.command](job))
        yield backend
        await backend.close()

    async def assert_nothing_left(self, job: ContainerJob) -> None:
        assert not [task for task in asyncio.all_tasks() if "_played" in repr(task.get_coro())]


class TestFake(BackendCase):
    @pytest.fixture
    def backend(self) -> FakeBackend:
        return FakeBackend()

    async def test_without_a_handler_every_tool_ends_well(self, backend: FakeBackend, make_job: JobMaker) -> None:
        job = make_job(("anything",))
        outcome = await execute(backend, job)
        assert outcome.exit_code == 0
        assert (job.stdout.read_bytes(), job.stderr.read_bytes()) == (b"", b"")

    async def test_jobs_are_recorded_in_order(self, backend: FakeBackend, make_job: JobMaker) -> None:
        jobs = [make_job(("tool", str(number)), suffix=str(number)) for number in range(3)]
        for job in jobs:
            await execute(backend, job)
        assert backend.jobs == jobs

    async def test_it_can_appear_as_processes(self) -> None:
        backend = FakeBackend(containers=False)
        assert backend.name == "fake"
        assert not backend.capabilities.containers
        assert not backend.capabilities.mounts

    async def test_a_handler_may_be_asynchronous(self, make_job: JobMaker) -> None:
        async def later(job: ContainerJob) -> int:
            await asyncio.sleep(0)
            return os.EX_USAGE

        assert (await execute(FakeBackend(later), make_job(("tool",)))).exit_code == os.EX_USAGE

    async def test_an_error_of_the_handler_is_one_of_start(self, make_job: JobMaker) -> None:
        def no_image(job: ContainerJob) -> int:
            raise ImageError("no such image")

        with pytest.raises(ImageError, match="no such image"):
            await FakeBackend(no_image).start(make_job(("tool",)))

    async def test_a_late_error_of_the_handler_is_one_of_wait(self, make_job: JobMaker) -> None:
        async def lost(job: ContainerJob) -> int:
            raise BackendError("the engine went away")

        with pytest.raises(BackendError, match="went away"):
            await execute(FakeBackend(lost), make_job(("tool",)))

    async def test_a_deleted_job_cannot_be_waited_for(self, backend: FakeBackend, make_job: JobMaker) -> None:
        handle = await backend.start(make_job(("tool",)))
        await backend.delete(handle)
        with pytest.raises(BackendError, match="no job"):
            await backend.wait(handle)
