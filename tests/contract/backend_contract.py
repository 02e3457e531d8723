"""What every backend promises (see `cwl_prefect.backends.base.Backend`), as tests for each backend to inherit.

A subclass gives the fixture `backend` and runs the commands below: as they are where a POSIX shell is at hand, played
by a function otherwise.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from cwl_prefect.backends.base import Backend, execute, finish
from cwl_prefect.model.job import ContainerJob, DockerImage, JobOutcome, Mount, Reason
from tests.waiting import eventually

ECHO_STDIN = ("sh", "-c", "cat")
ENVIRONMENT = ("env",)
EXIT_7 = ("sh", "-c", "exit 7")
KILLED = ("sh", "-c", "sh -c 'kill -9 $$'; exit $?")
MISSING = ("no-such-command", "--help")
MISSING_PATH = ("/no/such/command",)
NOT_EXECUTABLE = ("./plain-file",)
SILENT = ("true",)
SLEEP = ("sh", "-c", "echo started; sleep 300")
SLEEPING_CHILDREN = ("sh", "-c", "sleep 300 & setsid sleep 300 & echo started; wait")
SLOW_STREAMS = ("sh", "-c", "echo begun; sleep 1; printf ended; printf err >&2; exit 3")
TWO_STREAMS = ("sh", "-c", "printf out; printf err >&2")
WRITE_FILE = ("sh", "-c", "pwd > where; echo data > made")

EVERY_BYTE = bytes(range(256)) * 4096

JobMaker = Callable[..., ContainerJob]


class BackendCase:
    """Workspaces and jobs for the tests of a backend; inherit, and give the fixture `backend`."""

    @pytest.fixture
    def workspace(self, tmp_path: Path) -> Path:
        for part in ("out", "tmp", "logs"):
            (tmp_path / part).mkdir()
        return tmp_path

    @pytest.fixture
    def make_job(self, backend: Backend, workspace: Path, request: pytest.FixtureRequest) -> JobMaker:
        run_id = f"{workspace.name}-{uuid4().hex[:12]}"  # another session may have left Jobs of the same test

        def make(
            command: tuple[str, ...],
            *,
            env: Mapping[str, str] | None = None,
            stdin: Path | None = None,
            timeout_s: float | None = None,
            stderr: Path | None = None,
            suffix: str = "",
        ) -> ContainerJob:
            capabilities = backend.capabilities
            out, tmp = workspace / "out", workspace / "tmp"
            mounts = (
                Mount(source=out, target="/workdir", writable=True),
                Mount(source=tmp, target="/tmp", writable=True),
            )
            return ContainerJob(
                job_id=f"{run_id}/{request.node.name}{suffix}",
                name=f"{request.node.name}{suffix}",
                image=DockerImage(pull="busybox:1.35") if capabilities.containers else None,
                command=command,
                env={"PATH": "/usr/local/bin:/usr/bin:/bin", **(env or {})},
                mounts=mounts if capabilities.mounts else (),
                workdir="/workdir" if capabilities.mounts else str(out),
                stdin=stdin,
                stdout=workspace / "logs" / f"stdout{suffix}",
                stderr=stderr or workspace / "logs" / f"stderr{suffix}",
                timeout_s=timeout_s,
                labels={"flow-run-id": run_id},
            )

        return make


class BackendContract(BackendCase):
    """The promises; inherit, and give the fixture `backend` and `assert_nothing_left`."""

    time_limit_s = 0.5  # of a job that takes longer; an engine may have begun it by then

    async def assert_nothing_left(self, job: ContainerJob) -> None:
        raise NotImplementedError

    async def test_a_command_that_ends_well_gives_exit_code_0(self, backend: Backend, make_job: JobMaker) -> None:
        job = make_job(SILENT)
        outcome = await execute(backend, job)
        assert (outcome.job_id, outcome.reason, outcome.exit_code) == (job.job_id, Reason.EXITED, 0)
        assert outcome.started_at <= outcome.finished_at
        assert outcome.started_at.tzinfo is not None

    async def test_the_exit_code_is_the_command_s(self, backend: Backend, make_job: JobMaker) -> None:
        outcome = await execute(backend, make_job(EXIT_7))
        assert (outcome.reason, outcome.exit_code, outcome.signal) == (Reason.EXITED, 7, None)

    async def test_a_signal_is_named(self, backend: Backend, make_job: JobMaker) -> None:
        outcome = await execute(backend, make_job(KILLED))
        assert (outcome.reason, outcome.exit_code, outcome.signal) == (Reason.SIGNALED, 137, 9)

    async def test_stdout_and_stderr_are_kept_apart(self, backend: Backend, make_job: JobMaker) -> None:
        job = make_job(TWO_STREAMS)
        await execute(backend, job)
        assert (job.stdout.read_bytes(), job.stderr.read_bytes()) == (b"out", b"err")

    async def test_stdout_and_stderr_may_be_one_file(
        self, backend: Backend, make_job: JobMaker, workspace: Path
    ) -> None:
        job = make_job(TWO_STREAMS, stderr=workspace / "logs" / "stdout")
        await execute(backend, job)
        assert sorted(job.stdout.read_bytes()) == sorted(b"outerr")

    async def test_old_output_is_overwritten(self, backend: Backend, make_job: JobMaker) -> None:
        job = make_job(TWO_STREAMS)
        job.stdout.write_text("something much longer than the new output")
        await execute(backend, job)
        assert job.stdout.read_bytes() == b"out"

    async def test_stdin_reaches_stdout_byte_for_byte(
        self, backend: Backend, make_job: JobMaker, workspace: Path
    ) -> None:
        source = workspace / "tmp" / "every byte"
        source.write_bytes(EVERY_BYTE)
        job = make_job(ECHO_STDIN, stdin=source)
        outcome = await execute(backend, job)
        assert outcome.exit_code == 0
        assert job.stdout.read_bytes() == EVERY_BYTE
        assert job.stderr.read_bytes() == b""

    async def test_without_stdin_the_command_reads_nothing(self, backend: Backend, make_job: JobMaker) -> None:
        job = make_job(ECHO_STDIN)
        outcome = await execute(backend, job)
        assert (outcome.exit_code, job.stdout.read_bytes()) == (0, b"")

    async def test_the_command_runs_in_its_directory(
        self, backend: Backend, make_job: JobMaker, workspace: Path
    ) -> None:
        job = make_job(WRITE_FILE)
        outcome = await execute(backend, job)
        assert outcome.exit_code == 0
        assert (workspace / "out" / "where").read_text().strip() == job.workdir
        made = workspace / "out" / "made"
        assert made.read_text() == "data\n"
        assert (made.stat().st_uid, made.stat().st_gid) == (os.geteuid(), os.getegid())

    async def test_the_driver_s_environment_is_not_seen(
        self, backend: Backend, make_job: JobMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PREFECT_API_KEY", "secret")
        monkeypatch.setenv("MY_OWN", "secret")
        job = make_job(ENVIRONMENT, env={"GREETING": "a = b 'c' \"d\"", "HOME": "/somewhere"})
        await execute(backend, job)
        lines = job.stdout.read_text().splitlines()
        assert "GREETING=a = b 'c' \"d\"" in lines
        assert "HOME=/somewhere" in lines
        # An image's own variables and the engine's HOSTNAME are no business of the driver.
        assert not [line for line in lines if line.startswith(("PREFECT", "MY_OWN"))]

    @pytest.mark.parametrize("command", [pytest.param(MISSING, id="by-name"), pytest.param(MISSING_PATH, id="by-path")])
    async def test_a_missing_command_has_an_outcome(
        self, backend: Backend, make_job: JobMaker, command: tuple[str, ...]
    ) -> None:
        outcome = await execute(backend, make_job(command))
        assert (outcome.reason, outcome.exit_code) == (Reason.NOT_FOUND, None)
        assert outcome.message is not None
        assert command[0] in outcome.message

    async def test_a_file_that_cannot_be_executed_has_an_outcome(
        self, backend: Backend, make_job: JobMaker, workspace: Path
    ) -> None:
        (workspace / "out" / "plain-file").write_text("not a program")
        outcome = await execute(backend, make_job(NOT_EXECUTABLE))
        assert (outcome.reason, outcome.exit_code) == (Reason.NOT_EXECUTABLE, None)

    async def test_a_job_past_its_time_limit_is_killed(self, backend: Backend, make_job: JobMaker) -> None:
        began = time.monotonic()
        outcome = await execute(backend, make_job(SLEEP, timeout_s=self.time_limit_s))
        assert (outcome.reason, outcome.exit_code) == (Reason.TIMED_OUT, None)
        assert time.monotonic() - began < 15

    async def test_a_job_within_its_time_limit_is_left_alone(self, backend: Backend, make_job: JobMaker) -> None:
        outcome = await execute(backend, make_job(EXIT_7, timeout_s=60))
        assert (outcome.reason, outcome.exit_code) == (Reason.EXITED, 7)

    async def test_cancelling_a_wait_leaves_nothing_behind(self, backend: Backend, make_job: JobMaker) -> None:
        job = make_job(SLEEPING_CHILDREN)
        running = asyncio.create_task(execute(backend, job))
        await eventually(lambda: running.done() or (job.stdout.exists() and job.stdout.read_bytes() == b"started\n"))
        began = time.monotonic()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert time.monotonic() - began < 15
        await self.assert_nothing_left(job)

    async def test_cancelling_at_any_moment_of_a_start_leaves_nothing_behind(
        self, backend: Backend, make_job: JobMaker
    ) -> None:
        jobs = [make_job(SLEEP, suffix=f"-{number}") for number in range(4)]
        for number, job in enumerate(jobs):
            running = asyncio.create_task(execute(backend, job))
            await asyncio.sleep(number * 0.05)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        for job in jobs:
            await self.assert_nothing_left(job)

    async def test_delete_may_be_called_twice(self, backend: Backend, make_job: JobMaker) -> None:
        handle = await backend.start(make_job(SLEEP))
        await backend.delete(handle)
        await backend.delete(handle)
        await self.assert_nothing_left(handle.job)

    async def test_an_ended_job_can_be_waited_for_again(self, backend: Backend, make_job: JobMaker) -> None:
        handle = await backend.start(make_job(EXIT_7))
        first = await backend.wait(handle)
        assert await backend.wait(handle) == first
        await backend.delete(handle)

    async def test_close_ends_what_still_runs(self, backend: Backend, make_job: JobMaker) -> None:
        handle = await backend.start(make_job(SLEEP))
        await backend.close()
        await self.assert_nothing_left(handle.job)

    async def test_many_jobs_run_side_by_side(self, backend: Backend, make_job: JobMaker) -> None:
        jobs = [make_job(TWO_STREAMS, suffix=f"-{number}") for number in range(8)]
        outcomes: list[JobOutcome] = await asyncio.gather(*(execute(backend, job) for job in jobs))
        assert [outcome.job_id for outcome in outcomes] == [job.job_id for job in jobs]
        assert {outcome.exit_code for outcome in outcomes} == {0}
        assert {job.stdout.read_bytes() for job in jobs} == {b"out"}

    async def test_where_nothing_runs_nothing_is_adopted(self, backend: Backend, make_job: JobMaker) -> None:
        assert await backend.adopt(make_job(SILENT)) is None


class AdoptionContract(BackendContract):
    """The promises of a backend whose jobs outlive their driver; inherit, and give `successor` where it is another."""

    async def successor(self, backend: Backend) -> Backend:
        """Give what the next driver works with, after this one was killed."""
        return backend

    def test_it_says_that_its_jobs_outlive_their_driver(self, backend: Backend) -> None:
        assert backend.capabilities.outlives_driver

    async def test_a_running_job_of_a_killed_driver_is_adopted(self, backend: Backend, make_job: JobMaker) -> None:
        job = make_job(SLOW_STREAMS)
        await backend.start(job)
        await eventually(lambda: job.stdout.exists() and job.stdout.read_bytes() == b"begun\n")
        following = await self.successor(backend)
        handle = await following.adopt(job)
        assert handle is not None
        outcome = await finish(following, handle)
        assert (outcome.job_id, outcome.reason, outcome.exit_code) == (job.job_id, Reason.EXITED, 3)
        assert (job.stdout.read_bytes(), job.stderr.read_bytes()) == (b"begun\nended", b"err")
        await self.assert_nothing_left(job)

    async def test_an_ended_job_of_a_killed_driver_is_adopted(self, backend: Backend, make_job: JobMaker) -> None:
        job = make_job(TWO_STREAMS)
        await backend.wait(await backend.start(job))
        following = await self.successor(backend)
        handle = await following.adopt(job)
        assert handle is not None
        assert (await finish(following, handle)).exit_code == 0
        assert (job.stdout.read_bytes(), job.stderr.read_bytes()) == (b"out", b"err")
        await self.assert_nothing_left(job)

    async def test_an_adopted_job_that_is_late_is_killed(self, backend: Backend, make_job: JobMaker) -> None:
        job = make_job(SLEEP, timeout_s=2 * self.time_limit_s)
        await backend.start(job)
        following = await self.successor(backend)
        handle = await following.adopt(job)
        assert handle is not None
        assert (await finish(following, handle)).reason is Reason.TIMED_OUT
        await self.assert_nothing_left(job)

    async def test_a_job_that_was_changed_is_not_adopted_and_removed(
        self, backend: Backend, make_job: JobMaker
    ) -> None:
        job = make_job(SLEEP)
        await backend.start(job)
        following = await self.successor(backend)
        assert await following.adopt(replace(job, labels={**job.labels, "call": "another"})) is None
        await self.assert_nothing_left(job)

    def reading(self, command: tuple[str, ...], make_job: JobMaker, workspace: Path) -> ContainerJob:
        """Make a job that reads `text` from a file."""
        source = workspace / "tmp" / "input"
        source.write_text("text")
        return make_job(command, stdin=source)

    async def test_a_job_whose_stdin_ended_with_its_driver_is_not_adopted(
        self, backend: Backend, make_job: JobMaker, workspace: Path
    ) -> None:
        job = self.reading(SLEEP, make_job, workspace)
        await backend.start(job)
        following = await self.successor(backend)
        assert await following.adopt(job) is None
        await self.assert_nothing_left(job)
