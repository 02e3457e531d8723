"""Runs jobs as processes of this machine."""

import asyncio
import errno
import os
import platform
import signal
import socket
import subprocess
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from cwl_prefect.backends.base import Capabilities, JobHandle
from cwl_prefect.backends.local.processes import end_family
from cwl_prefect.backends.local.usage import OwnPeak, transferred, used
from cwl_prefect.backends.local.watchdog import Watchdog
from cwl_prefect.backends.outcomes import FIRST_SIGNAL_STATUS, open_output, signal_of, timed_out, unstarted
from cwl_prefect.errors import BackendError
from cwl_prefect.model.job import ContainerJob, DockerImage, JobOutcome, Reason
from cwl_prefect.model.usage import Usage

_CAPABILITIES = Capabilities(containers=False, mounts=False)
_BUSY_TRIES = 6
_GIVE_UP_S = 10.0  # a process stuck in the kernel is reaped when it comes out


@dataclass(slots=True, kw_only=True, eq=False)
class _Run:
    """A process and its end."""

    job: ContainerJob
    watchdog: Watchdog
    own_peak: OwnPeak
    ended: asyncio.Future[JobOutcome]
    process: subprocess.Popen[bytes] | None = None  # None: it could not be started
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started_s: float = field(default_factory=time.monotonic)
    exited: bool = False
    being_killed: bool = False  # it is then not reaped: its number must stay taken until its family is gone


class LocalBackend:
    """Runs each job as a process in a session of its own, its streams wired straight to files.

    An image is not looked at, and no limit on cores or memory is set: a process sees this machine as it is. When the
    process ends, what it left running in its process group is killed, as it would be in a container.

    Args:
        grace_s: Seconds that a process has to end by itself after SIGTERM before it is killed.
    """

    def __init__(self, *, grace_s: float = 1.0) -> None:
        self._grace_s = grace_s
        self._runs: dict[str, _Run] = {}
        self._watchdog = Watchdog()
        self._own_peak = OwnPeak()

    @property
    def name(self) -> str:
        """Name for people."""
        return "local"

    @property
    def capabilities(self) -> Capabilities:
        """Plain processes, which see files where they are."""
        return _CAPABILITIES

    async def identify(self, image: DockerImage | None, *, step: str) -> str | None:
        """Return the kind of this machine; an image is not looked at."""
        del image, step
        return f"{platform.system()} {platform.machine()}"

    async def start(self, job: ContainerJob) -> JobHandle:
        """Start a process.

        Raises:
            BackendError: The job wants files at other paths, which a process cannot have.
        """
        if job.mounts:
            raise BackendError(
                f"{job.name} wants files at other paths, which a process of this machine cannot have",
                hint="run it with the docker backend",
            )
        ended = asyncio.get_running_loop().create_future()
        run = _Run(job=job, watchdog=self._watchdog, own_peak=self._own_peak, ended=ended)
        try:
            run.process = await _spawn_when_free(job)
        except (OSError, ValueError) as exc:
            run.ended.set_result(unstarted(job, *_why_not_started(job, exc)))
            reference = f"unstarted {job.job_id}"
        else:
            self._watchdog.started(run.process.pid)
            _call_at_exit(run, run.process)
            reference = str(run.process.pid)
        self._runs[reference] = run
        return JobHandle(job=job, reference=reference)

    async def adopt(self, job: ContainerJob) -> JobHandle | None:  # noqa: ARG002 - as every backend
        """Return nothing: processes end with the driver that started them."""
        return None

    async def wait(self, handle: JobHandle) -> JobOutcome:
        """Wait for the process to end; one past its time limit is killed with its descendants.

        Raises:
            BackendError: The job is not one of this backend, or was deleted.
        """
        run = self._runs.get(handle.reference)
        if run is None:
            raise BackendError(f"no process {handle.reference} of {handle.job.name} was started here")
        limit_s = run.job.timeout_s
        remaining_s = None if limit_s is None else max(0.0, run.started_s + limit_s - time.monotonic())
        await asyncio.wait([run.ended], timeout=remaining_s)
        if limit_s is None or run.ended.done():
            return run.ended.result()
        await self._kill(run)
        used = run.ended.result().usage if run.ended.done() else None
        return timed_out(run.job, run.started_at, usage=used)

    async def delete(self, handle: JobHandle) -> None:
        """Kill the process and its descendants if they still run."""
        run = self._runs.get(handle.reference)
        if run is None:
            return
        if not run.ended.done():
            await self._kill(run)
        self._runs.pop(handle.reference, None)

    async def close(self) -> None:
        """Kill what still runs."""
        for reference, run in tuple(self._runs.items()):
            await self.delete(JobHandle(job=run.job, reference=reference))
        self._watchdog.close()

    async def _kill(self, run: _Run) -> None:
        if run.process is not None and not run.being_killed:
            run.being_killed = True
            try:
                await end_family(run.process.pid, grace_s=self._grace_s)
            finally:
                run.being_killed = False
                if run.exited:
                    _reap(run, run.process)
        await asyncio.wait([run.ended], timeout=_GIVE_UP_S)


async def _spawn_when_free(job: ContainerJob) -> subprocess.Popen[bytes]:
    """Start a process; a program that another thread has just finished writing may be busy for a moment."""
    for tried in range(_BUSY_TRIES):
        try:
            return _spawn(
                job, _program(job.command[0], job.env.get("PATH", "")) if tried == 0 and job.command else None
            )
        except OSError as exc:
            if exc.errno == errno.ENOENT and tried == 0:
                _program.cache_clear()  # it was found once and may be gone; the kernel's own search tells
                continue
            if exc.errno != errno.ETXTBSY or tried == _BUSY_TRIES - 1:
                raise
        await asyncio.sleep(0.01 * 2**tried)
    raise AssertionError("the last try returns or raises")


def _spawn(job: ContainerJob, program: str | None) -> subprocess.Popen[bytes]:
    if not job.command:
        raise ValueError("the command is empty")
    with ExitStack() as files:
        stdin = files.enter_context(job.stdin.open("rb")) if job.stdin is not None else subprocess.DEVNULL
        stdout = open_output(job.stdout)
        files.callback(os.close, stdout)
        stderr = stdout
        if job.stderr != job.stdout:
            stderr = open_output(job.stderr)
            files.callback(os.close, stderr)
        return subprocess.Popen(
            job.command,
            executable=program,
            cwd=job.workdir,
            env=job.env,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )


@lru_cache(maxsize=1024)
def _program(name: str, search_path: str) -> str | None:
    """Find a command once for all its calls, where every directory of PATH is absolute; None: let the kernel look."""
    directories = search_path.split(os.pathsep)
    if "/" in name or not all(directory.startswith("/") for directory in directories):
        return None
    candidates = (f"{directory}/{name}" for directory in directories)
    return next((found for found in candidates if _is_file(Path(found), os.X_OK)), None)


def _is_file(path: Path, access: int) -> bool:
    """Check whether there is a file with some access to it; in a directory that may not be searched there is none."""
    return os.access(path, access) and path.is_file()


def _why_not_started(job: ContainerJob, exc: OSError | ValueError) -> tuple[Reason, str]:
    if isinstance(exc, ValueError):
        return Reason.START_FAILED, str(exc)
    message = f"{exc.strerror}: {exc.filename}" if exc.filename is not None else str(exc.strerror)
    if not job.command or exc.filename != job.command[0]:
        return Reason.START_FAILED, message
    return _why_not_executed(job, exc.errno, message)


def _why_not_executed(job: ContainerJob, number: int | None, message: str) -> tuple[Reason, str]:
    found = _existing_program(job)
    match number:
        case errno.ENOENT | errno.ENOTDIR if found is not None:
            return Reason.NOT_EXECUTABLE, f"{found} names an interpreter in its first line that does not exist"
        case errno.ENOENT | errno.ENOTDIR:
            return Reason.NOT_FOUND, message
        case errno.EACCES if found is None and "/" not in job.command[0]:
            return Reason.NOT_FOUND, f"{os.strerror(errno.ENOENT)}: {job.command[0]}"
        case errno.EACCES | errno.EPERM | errno.ENOEXEC:
            return Reason.NOT_EXECUTABLE, message
        case _:
            return Reason.START_FAILED, message


def _existing_program(job: ContainerJob) -> Path | None:
    """Find the file that a command names, which the kernel could not execute."""
    program = job.command[0]
    directories = [""] if "/" in program else job.env.get("PATH", os.defpath).split(os.pathsep)
    candidates = (Path(job.workdir, directory, program) for directory in directories)
    return next((path for path in candidates if _is_file(path, os.F_OK)), None)


def _call_at_exit(run: _Run, process: subprocess.Popen[bytes]) -> None:
    """See to it that a process is reaped the moment it ends, whether or not anybody waits for it."""
    loop = asyncio.get_running_loop()
    try:
        descriptor = os.pidfd_open(process.pid)
    except (OSError, AttributeError):  # an old kernel, a sandbox, or no free descriptor
        threading.Thread(target=_watch, args=(loop, run, process), daemon=True).start()
        return

    def readable() -> None:
        """See to the end of the process, which its descriptor tells by becoming readable."""
        loop.remove_reader(descriptor)
        os.close(descriptor)
        _exited(run, process)

    loop.add_reader(descriptor, readable)


def _watch(loop: asyncio.AbstractEventLoop, run: _Run, process: subprocess.Popen[bytes]) -> None:
    with suppress(ChildProcessError):
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with suppress(RuntimeError):  # the loop was closed meanwhile
        loop.call_soon_threadsafe(_exited, run, process)


def _exited(run: _Run, process: subprocess.Popen[bytes]) -> None:
    run.exited = True
    if not run.being_killed:
        _reap(run, process)


def _reap(run: _Run, process: subprocess.Popen[bytes]) -> None:
    """Take the exit status of an ended process; its group goes first, while its number cannot belong to another."""
    if run.ended.done():
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    run.watchdog.ended(process.pid)
    transfers = transferred(process.pid)
    try:
        _, status, counted = os.wait4(process.pid, 0)
    except ChildProcessError:
        process.returncode = 0  # keeps subprocess from waiting for it once more
        run.ended.set_result(_outcome(run, Reason.LOST, None, message="something else took its exit status"))
        return
    process.returncode = os.waitstatus_to_exitcode(status)
    exit_code = process.returncode if process.returncode >= 0 else FIRST_SIGNAL_STATUS - process.returncode
    number = signal_of(exit_code)
    reason = Reason.EXITED if number is None else Reason.SIGNALED
    usage = used(counted, transfers, run.own_peak)
    run.ended.set_result(_outcome(run, reason, exit_code, number=number, usage=usage))


def _outcome(
    run: _Run,
    reason: Reason,
    exit_code: int | None,
    *,
    message: str | None = None,
    number: int | None = None,
    usage: Usage | None = None,
) -> JobOutcome:
    return JobOutcome(
        job_id=run.job.job_id,
        reason=reason,
        exit_code=exit_code,
        started_at=run.started_at,
        finished_at=datetime.now(UTC),
        message=message,
        signal=number,
        usage=usage or Usage(),
        node=socket.gethostname(),
        container=None if run.process is None else str(run.process.pid),
    )
