"""The local backend: the contract, and what is its own."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from cwl_prefect.backends.base import execute
from cwl_prefect.backends.local.backend import LocalBackend
from cwl_prefect.backends.local.processes import end_family
from cwl_prefect.errors import BackendError
from cwl_prefect.model.job import ContainerJob, Mount, Reason
from tests.contract.backend_contract import BackendCase, BackendContract, JobMaker
from tests.waiting import eventually


def running_in(directory: str) -> list[int]:
    found = []
    for process in psutil.process_iter(["cwd", "status"]):
        if process.info["cwd"] == directory and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


@pytest.fixture
async def local() -> AsyncIterator[LocalBackend]:
    backend = LocalBackend(grace_s=0.2)
    yield backend
    await backend.close()


class TestContract(BackendContract):
    time_limit_s = 0.1

    @pytest.fixture
    def backend(self, local: LocalBackend) -> LocalBackend:
        return local

    async def assert_nothing_left(self, job: ContainerJob) -> None:
        assert running_in(job.workdir) == []


class TestContractWithoutPidfd(TestContract):
    @pytest.fixture(autouse=True)
    def _old_kernel(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(pid: int, flags: int = 0) -> int:
            raise OSError(38, "Function not implemented")

        monkeypatch.setattr(os, "pidfd_open", refuse)


class TestLocal(BackendCase):
    @pytest.fixture
    def backend(self, local: LocalBackend) -> LocalBackend:
        return local

    async def test_it_runs_processes_that_see_files_where_they_are(self, backend: LocalBackend) -> None:
        assert backend.name == "local"
        assert not backend.capabilities.containers
        assert not backend.capabilities.mounts

    async def test_a_job_with_mounts_is_refused(
        self, backend: LocalBackend, make_job: JobMaker, tmp_path: Path
    ) -> None:
        job = replace(make_job(("true",)), mounts=(Mount(source=tmp_path, target="/data"),))
        with pytest.raises(BackendError, match="files at other paths"):
            await backend.start(job)

    async def test_the_environment_is_exactly_the_job_s(self, backend: LocalBackend, make_job: JobMaker) -> None:
        job = make_job(("env",), env={"ONLY": "this"})
        await execute(backend, job)
        assert job.stdout.read_text().splitlines() == ["PATH=/usr/local/bin:/usr/bin:/bin", "ONLY=this"]

    async def test_a_command_is_looked_up_on_the_job_s_path(
        self, backend: LocalBackend, make_job: JobMaker, tmp_path: Path
    ) -> None:
        (tmp_path / "bin").mkdir()
        tool = tmp_path / "bin" / "my-tool"
        tool.write_text("#!/bin/sh\nexit 3\n")
        tool.chmod(0o755)
        found = await execute(backend, make_job(("my-tool",), env={"PATH": str(tmp_path / "bin")}, suffix="-found"))
        missed = await execute(backend, make_job(("my-tool",), suffix="-missed"))
        assert (found.exit_code, missed.reason) == (3, Reason.NOT_FOUND)

    @pytest.mark.parametrize("command", ["bin/my-tool", "my-tool"], ids=["relative-path", "relative-entry-of-path"])
    async def test_relative_commands_are_looked_up_from_the_working_directory(
        self, backend: LocalBackend, make_job: JobMaker, workspace: Path, command: str
    ) -> None:
        (workspace / "out" / "bin").mkdir()
        tool = workspace / "out" / "bin" / "my-tool"
        tool.write_text("#!/bin/sh\nexit 3\n")
        tool.chmod(0o755)
        outcome = await execute(backend, make_job((command,), env={"PATH": "bin"}))
        assert outcome.exit_code == 3

    async def test_a_directory_of_the_path_that_cannot_be_looked_into_is_passed_over(
        self, backend: LocalBackend, make_job: JobMaker
    ) -> None:
        impossible = "/" + 300 * "x"
        outcome = await execute(backend, make_job(("true",), env={"PATH": f"{impossible}:/usr/bin:/bin"}))
        assert outcome.exit_code == 0, outcome.message

    async def test_a_command_that_is_nowhere_is_missing_also_where_the_kernel_was_kept_from_looking(
        self, backend: LocalBackend, make_job: JobMaker, workspace: Path
    ) -> None:
        (workspace / "no-such-tool").mkdir()  # executing it is refused, as looking into a foreign directory is
        outcome = await execute(backend, make_job(("no-such-tool",), env={"PATH": f"{workspace}:/usr/bin"}))
        assert outcome.reason is Reason.NOT_FOUND, outcome.message

    async def test_a_script_whose_interpreter_is_missing_is_told_from_a_missing_command(
        self, backend: LocalBackend, make_job: JobMaker, workspace: Path
    ) -> None:
        script = workspace / "out" / "script"
        script.write_text("#!/no/such/interpreter\n")
        script.chmod(0o755)
        outcome = await execute(backend, make_job(("./script",)))
        assert outcome.reason is Reason.NOT_EXECUTABLE
        assert outcome.message is not None
        assert "interpreter" in outcome.message

    async def test_a_file_of_no_executable_format_is_named(
        self, backend: LocalBackend, make_job: JobMaker, workspace: Path
    ) -> None:
        program = workspace / "out" / "program"
        program.write_bytes(b"\x7fELF but not really")
        program.chmod(0o755)
        outcome = await execute(backend, make_job(("./program",)))
        assert outcome.reason is Reason.NOT_EXECUTABLE

    async def test_a_missing_working_directory_is_told_from_a_missing_command(
        self, backend: LocalBackend, make_job: JobMaker
    ) -> None:
        outcome = await execute(backend, replace(make_job(("true",)), workdir="/no/such/directory"))
        assert outcome.reason is Reason.START_FAILED
        assert outcome.message == "No such file or directory: /no/such/directory"

    @pytest.mark.parametrize(
        ("command", "words"),
        [
            pytest.param((), "empty", id="empty-command"),
            pytest.param(("true", "a\0b"), "null byte", id="null-byte"),
            pytest.param(("true", "x" * 3_000_000), "list too long", id="too-many-arguments"),
        ],
    )
    async def test_an_impossible_command_has_an_outcome(
        self, backend: LocalBackend, make_job: JobMaker, command: tuple[str, ...], words: str
    ) -> None:
        outcome = await execute(backend, make_job(command))
        assert outcome.reason is Reason.START_FAILED
        assert outcome.message is not None
        assert words in outcome.message

    async def test_a_missing_stdin_has_an_outcome(
        self, backend: LocalBackend, make_job: JobMaker, tmp_path: Path
    ) -> None:
        outcome = await execute(backend, make_job(("cat",), stdin=tmp_path / "nothing"))
        assert outcome.reason is Reason.START_FAILED

    async def test_output_never_goes_through_a_link_to_an_input(
        self, backend: LocalBackend, make_job: JobMaker, tmp_path: Path
    ) -> None:
        precious = tmp_path / "precious"
        precious.write_text("data")
        job = make_job(("echo", "overwritten"))
        job.stdout.symlink_to(precious)
        outcome = await execute(backend, job)
        assert outcome.reason is Reason.START_FAILED
        assert precious.read_text() == "data"

    async def test_directories_of_output_files_are_made(
        self, backend: LocalBackend, make_job: JobMaker, workspace: Path
    ) -> None:
        job = replace(make_job(("echo", "hi")), stdout=workspace / "out" / "a" / "b" / "log")
        await execute(backend, job)
        assert job.stdout.read_text() == "hi\n"

    async def test_descendants_in_other_sessions_are_killed(
        self, backend: LocalBackend, make_job: JobMaker, workspace: Path
    ) -> None:
        nest = "setsid sh -c 'sleep 300 & trap \"\" TERM; echo started; sleep 300'"
        job = make_job(("sh", "-c", nest + " & wait"))
        running = asyncio.create_task(execute(backend, job))
        await eventually(lambda: job.stdout.exists() and job.stdout.read_bytes() == b"started\n")
        assert len(running_in(job.workdir)) >= 3
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert running_in(job.workdir) == []

    async def test_a_process_may_clean_up_when_terminated(self, backend: LocalBackend, make_job: JobMaker) -> None:
        job = make_job(("sh", "-c", "trap 'echo cleaned; exit 0' TERM; echo started; while true; do sleep 0.05; done"))
        handle = await backend.start(job)
        await eventually(lambda: job.stdout.read_bytes() == b"started\n")
        await backend.delete(handle)
        assert job.stdout.read_text() == "started\ncleaned\n"

    async def test_a_process_that_dies_of_a_signal_has_the_exit_code_of_a_shell(
        self, backend: LocalBackend, make_job: JobMaker
    ) -> None:
        outcome = await execute(backend, make_job(("sh", "-c", "kill -TERM $$")))
        assert (outcome.reason, outcome.exit_code, outcome.signal) == (Reason.SIGNALED, 143, 15)

    async def test_a_stopped_process_is_killed_too(self, backend: LocalBackend, make_job: JobMaker) -> None:
        job = make_job(("sh", "-c", "kill -STOP $$"), timeout_s=0.3)
        outcome = await execute(backend, job)
        assert outcome.reason is Reason.TIMED_OUT

    async def test_what_a_process_leaves_running_ends_with_it(self, backend: LocalBackend, make_job: JobMaker) -> None:
        job = make_job(("sh", "-c", "sleep 300 & exit 4"))
        outcome = await execute(backend, job)
        assert outcome.exit_code == 4
        await eventually(lambda: running_in(job.workdir) == [])

    async def test_a_high_memory_peak_is_reported(self, backend: LocalBackend, make_job: JobMaker) -> None:
        size_mib = psutil.Process().memory_info().rss // 2**20 + 300
        outcome = await execute(backend, make_job((sys.executable, "-c", f"x = b'a' * ({size_mib} << 20)")))
        assert outcome.usage.peak_memory_mib is not None
        assert outcome.usage.peak_memory_mib >= size_mib

    async def test_a_status_taken_by_somebody_else_is_a_lost_job(
        self, backend: LocalBackend, make_job: JobMaker
    ) -> None:
        handle = await backend.start(make_job(("true",)))
        os.waitpid(int(handle.reference), 0)
        outcome = await backend.wait(handle)
        assert (outcome.reason, outcome.exit_code) == (Reason.LOST, None)
        await backend.delete(handle)

    async def test_a_deleted_job_cannot_be_waited_for(self, backend: LocalBackend, make_job: JobMaker) -> None:
        handle = await backend.start(make_job(("true",)))
        await backend.delete(handle)
        with pytest.raises(BackendError, match="no process"):
            await backend.wait(handle)

    async def test_a_program_being_written_is_tried_again(
        self, backend: LocalBackend, make_job: JobMaker, workspace: Path
    ) -> None:
        program = workspace / "out" / "program"
        program.write_bytes(Path("/bin/true").read_bytes())
        program.chmod(0o755)
        writer = program.open("ab")
        asyncio.get_running_loop().call_later(0.05, writer.close)
        outcome = await execute(backend, make_job(("./program",)))
        assert outcome.exit_code == 0


async def test_a_family_that_ends_by_itself_is_not_waited_for_longer() -> None:
    leader = await asyncio.create_subprocess_exec("sleep", "300", start_new_session=True)
    async with asyncio.timeout(60):
        await end_family(leader.pid, grace_s=3600)
    assert await leader.wait() == -signal.SIGTERM
