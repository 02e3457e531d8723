"""Run again whenever something is saved that the run reads: ``run --watch``.

Files are looked at instead of waiting for notices of the kernel: they are known and few, and network file systems and
mounts of containers give no notice.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cwl_prefect import api
from cwl_prefect._lib.uris import path_of
from cwl_prefect.cli.failures import report_failure, settings_with
from cwl_prefect.cli.run.command import RunRequest, run_document
from cwl_prefect.cli.terminal import complain
from cwl_prefect.cwl.binding.job_orders import reference_in
from cwl_prefect.cwl.loading.plans import documents_of
from cwl_prefect.errors import CwlPrefectError, InterruptedRunError, UsageError
from cwl_prefect.model.values import file_objects

LOOK_S = 0.1
"""Seconds between two looks at all files."""

_JOB_ORDERS = (".yml", ".yaml", ".json")

Stamps = Mapping[Path, tuple[int, int, int] | None]
"""Time of change, size and inode of files; None: there is none."""


def run_again_and_again(request: RunRequest) -> int:
    """Run a document, and again after each change of what it reads; errors are told, and only Ctrl-C ends it.

    Returns:
        The exit code of the run that was stopped, or that reads no file.

    Raises:
        UsageError: What is asked for cannot be run twice.
    """
    _demand_repeatable(request)
    before = stamps(read_by(request.arguments))
    while True:
        began_ns = time.time_ns()
        code = _run(request)
        paths = read_by(request.arguments)
        if code == InterruptedRunError.exit_code or not paths:
            return code
        before = {path: before.get(path, stamp) for path, stamp in _as_read(stamps(paths), began_ns).items()}
        complain(f"Watching {len(paths)} files; the run begins again when one is saved. Ctrl-C ends it.")
        after = changed(before)
        complain(f"Changed: {', '.join(sorted(path.name for path in paths if after[path] != before[path]))}.")
        before = after


def _demand_repeatable(request: RunRequest) -> None:
    once = {
        "a batch": bool(request.batch),
        "what only says what it would do": request.dry_run,
        "what reads its job order from the standard input": "-" in request.arguments,
        "what writes a crate": request.reports.get("provenance") is not None,
    }
    for what in (name for name, asked in once.items() if asked):
        raise UsageError(
            f"--watch cannot run {what} again.",
            hint="watch a single run with its job order in a file; `runs crate` writes a crate afterwards.",
        )


def read_by(arguments: Sequence[str]) -> frozenset[Path]:
    """Return the files of this machine that a run reads: documents, job orders, and the files that are its inputs."""
    return frozenset(path for named in _named(arguments) for path in _files(named))


def stamps(paths: frozenset[Path]) -> Stamps:
    """Return what tells whether files have changed."""
    return {path: _stamp(path) for path in paths}


def changed(before: Stamps) -> Stamps:
    """Wait until files change, and until they do no more: an editor may write one in several steps.

    Returns:
        Their stamps then.
    """
    last = before
    while (now := stamps(frozenset(before))) == before or now != last:
        last = now
        time.sleep(LOOK_S)
    return now


def _as_read(found: Stamps, began_ns: int) -> Stamps:
    """Return the stamps of files as a run read them; what was saved since it began counts as changed."""
    return {path: stamp if stamp is None or stamp[0] < began_ns else None for path, stamp in found.items()}


def _run(request: RunRequest) -> int:
    try:
        return run_document(request)
    except CwlPrefectError as error:
        return report_failure(error)


def _named(arguments: Sequence[str]) -> Iterator[Path]:
    """Yield what arguments name on this machine, and what documents and job orders among them name."""
    plans = settings_with({}).plans
    for argument in arguments:
        path = Path(argument.partition("=")[2] if argument.startswith("--") else argument.partition("#")[0])
        if not path.name or not path.exists():
            continue
        yield path
        yield from documents_of(argument, plans)
        if path.suffix in _JOB_ORDERS and path.is_file():
            yield from _named_by(path, plans)


def _named_by(job_order: Path, plans: Path) -> Iterator[Path]:
    try:
        reference = reference_in(job_order)
        if reference is not None and (path := path_of(reference)) is not None:
            yield path  # also where it is wrong, to be mended
        document = api.document_of(str(job_order))
        found = [path_of(str(value.get("location"))) for value in file_objects(api.read_job_order(job_order))]
    except CwlPrefectError:
        return  # the run says what is wrong
    yield from () if document is None else documents_of(document, plans)
    yield from (path for path in found if path is not None)


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (found for found in path.rglob("*") if found.is_file())
    yield path.absolute()


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
