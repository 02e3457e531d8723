"""The commands ``runs command`` and ``runs rerun``: a call that ran, to be looked into by hand."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, TypeAlias

from cwl_prefect.backends.docker.by_hand import docker_run
from cwl_prefect.cli.failures import settings_with
from cwl_prefect.cli.log_output import configure_logging
from cwl_prefect.cli.terminal import complain, tell
from cwl_prefect.errors import BackendError, UsageError
from cwl_prefect.flows.explain.recorded import StagedCall, script_of, stage_again
from cwl_prefect.reports.calls import RecordedCall, recorded_call
from cwl_prefect.reports.files import find_directory

_FIRST_SIGNAL_STATUS = 128

Stream: TypeAlias = BinaryIO | int | None


def show_command(run: str, call: str) -> None:
    """Print the command of a call as a script.

    Raises:
        InputError: Nothing is recorded of the run or the call.
        CwlPrefectError: The call cannot be bound any more.
    """
    configure_logging(quiet=True, verbose=False)
    settings = settings_with({})
    found = recorded_call(find_directory(run, settings.reports), call)
    tell(asyncio.run(script_of(found.past, settings)), end="")


def run_again(run: str, call: str, *, shell: bool, workdir: Path | None) -> int:
    """Run the command of a call again, or open a shell in its place, and return the exit code of that.

    Args:
        run: The run.
        call: Its call.
        shell: Whether a shell is opened.
        workdir: An empty directory for it, which stays; None: one that is removed at the end.

    Raises:
        InputError: Nothing is recorded of the run or the call.
        UsageError: The directory is not empty, or cannot be made.
        CwlPrefectError: The call cannot be bound or staged any more, or there is nothing that runs it.
    """
    configure_logging(quiet=True, verbose=False)
    settings = settings_with({})
    found = recorded_call(find_directory(run, settings.reports), call)
    if found.secret:
        complain("Warning: secret values of the run were not recorded; (secret) stands in their place.")
    with _place(workdir) as directory:
        staged = asyncio.run(stage_again(found.past, settings, directory))
        if shell:
            complain(f"A shell in place of {found.tried.call}; its command is run by: sh $TMPDIR/{staged.script.name}")
        return _attached(found, staged, shell=shell)


def _attached(found: RecordedCall, staged: StagedCall, *, shell: bool) -> int:
    """Run the command, or a shell, with the streams of this process where the call names no others."""
    job, contained = staged.job, staged.job.image is not None
    if contained:
        terminal = shell and sys.stdin.isatty() and sys.stdout.isatty()
        words = docker_run(job, digest=found.tried.image_digest, shell=shell, terminal=terminal)
    else:
        words = [os.environ.get("SHELL", "/bin/sh")] if shell else ["/bin/sh", str(staged.script)]
    try:
        with _signals_for_the_child(), ExitStack() as files:
            stdin, stdout, stderr = _streams(staged, files) if contained and not shell else (None, None, None)
            environment = None if contained else {**job.env, "TERM": os.environ.get("TERM", "dumb")}
            workdir = None if contained else job.workdir
            code = subprocess.run(
                words, cwd=workdir, env=environment, check=False, stdin=stdin, stdout=stdout, stderr=stderr
            ).returncode
    except OSError as error:
        raise BackendError(f"{words[0]} cannot be run: {error.strerror}.") from error
    return code if code >= 0 else _FIRST_SIGNAL_STATUS - code


def _streams(staged: StagedCall, files: ExitStack) -> tuple[Stream, Stream, Stream]:
    """Return the streams that a call names, None for those that it does not; a script opens them itself."""

    def opened(path: Path | None) -> Stream:
        """Open a file for what the command prints."""
        return None if path is None else files.enter_context(path.open("wb"))

    given = staged.job.stdin
    stdin: Stream = subprocess.DEVNULL if given is None else files.enter_context(given.open("rb"))
    stdout = opened(staged.stdout)
    same = staged.stderr is not None and staged.stderr == staged.stdout
    return stdin, stdout, subprocess.STDOUT if same else opened(staged.stderr)


@contextmanager
def _signals_for_the_child() -> Iterator[None]:
    """Leave Ctrl-C to what runs in the foreground."""
    before = signal.signal(signal.SIGINT, lambda *_: None)  # unlike SIG_IGN it is not handed down
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _place(workdir: Path | None) -> Iterator[Path]:
    if workdir is None:
        with tempfile.TemporaryDirectory(prefix="cwl-prefect-rerun-", ignore_cleanup_errors=True) as name:
            yield Path(name)
        return
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        used = any(workdir.iterdir())
    except OSError as error:
        raise UsageError(f"--workdir: {workdir} cannot be used: {error.strerror}.") from error
    if used:
        raise UsageError(f"--workdir: {workdir} is not empty.", hint="name a new directory.")
    yield workdir
