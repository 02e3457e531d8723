"""Collect what runs left on this machine: workspaces whose time is up, and what no driver could remove any more."""

import contextlib
import logging
import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import JsonValue

from cwl_prefect._lib.file_lock import FileLock, try_lock
from cwl_prefect._lib.locations import scheme_of, shown_url
from cwl_prefect.engine.records import audit, manifest, retention
from cwl_prefect.engine.records.audit import Act, AuditEntry
from cwl_prefect.engine.records.retention import KeptRun, Retention
from cwl_prefect.engine.staging.workspace import DRIVER_LOCK, UPLOADS, remove_run
from cwl_prefect.errors import CwlPrefectError, InputError
from cwl_prefect.flows.driver_lock import is_driven, last_alive
from cwl_prefect.flows.lifecycle.results import remove_undelivered
from cwl_prefect.flows.lifecycle.workdirs import Workdirs, forget_unused
from cwl_prefect.settings import Settings
from cwl_prefect.storage.multipart import Journal, end_abandoned

_logger = logging.getLogger(__name__)

PART_AGE_S = 3600.0  # a file that is written aside for so long belongs to nobody
UPLOAD_AGE_S = 86_400.0  # the same for one file's upload to workspaces in an object store


@dataclass(slots=True, kw_only=True)
class Collected:
    """What was done, or would be."""

    marked: list[KeptRun] = field(default_factory=list)
    removed: list[KeptRun] = field(default_factory=list)
    killed: list[KeptRun] = field(default_factory=list)  # whose drivers were, as far as this machine can tell
    containers: int = 0
    files: int = 0
    objects: int = 0  # of the object store by which files of calls go
    freed: int = 0  # their bytes
    uploads: int = 0  # that killed drivers and pods began, and whose parts their stores kept


def retention_of(settings: Settings) -> Retention:
    """Return how long workspaces are kept."""
    day = timedelta(days=1)
    return Retention(
        succeeded=settings.keep_succeeded_days * day,
        unfinished=settings.keep_unfinished_days * day,
        marked=settings.keep_marked_days * day,
    )


def collect(settings: Settings, *, dry_run: bool = False) -> Collected:
    """Mark the runs whose time is up, and remove those whose mark has expired.

    A run that is driven is not touched, and none can begin to be driven while it is removed.

    Args:
        settings: Say where workspaces are and how long they stay.
        dry_run: Only tell what would be done.
    """
    done = Collected()
    for runs in Workdirs.of(settings).directories:
        _collect(runs, settings, done, dry_run=dry_run)
    _collect_store(settings, done, dry_run=dry_run)
    if not dry_run:
        forget_unused(settings)
    return done


def _collect(runs: Path, settings: Settings, done: Collected, *, dry_run: bool) -> None:
    now, kept_for = datetime.now(UTC), retention_of(settings)
    staying: list[KeptRun] = []
    for run in retention.kept_runs(runs):
        done.uploads += _end_uploads(run, dry_run=dry_run)
        expired = run.expires is not None and run.expires <= now and not is_driven(run.directory)
        if expired and (dry_run or _remove(runs, run, settings)):
            done.removed.append(run)
            continue
        staying.append(run)
        if _is_killed(run):
            done.killed.append(run)
        due = run.expires is None and run.due(kept_for, now) and not is_driven(run.directory)
        if due and (dry_run or _mark(runs, run, now + kept_for.marked)):
            done.marked.append(run)
    done.files += _collect_files(runs, staying, dry_run=dry_run)


def restore(run: str, settings: Settings) -> KeptRun:
    """Take the mark from a run.

    Raises:
        InputError: There is no such run, or it is not marked.
    """
    found = [one for one in Workdirs.of(settings).kept_runs() if run in (one.run_id, one.name)]
    if not found:
        raise InputError(
            f"there are no workspaces of a run {run} on this machine.", hint="`cwl-prefect workspace ls` lists them."
        )
    marked = [one for one in found if one.expires is not None]
    if not marked:
        raise InputError(f"the run {found[0].name} is not marked for removal.")
    retention.restore(marked[0])
    _record(marked[0].directory.parent, Act.WORKSPACE_RESTORED, marked[0].run_id)
    return marked[0]


def is_abandoned(settings: Settings, run_id: str) -> bool:
    """Check whether a run was begun on this machine, and nobody drives it or will soon."""
    directory = Workdirs.of(settings).directory_of(run_id)
    found = manifest.read(directory)
    if found is None or is_driven(directory):
        return False
    if found.outcome is not manifest.Outcome.RUNNING:
        return True
    return time.time() - last_alive(directory) >= settings.adopt_s


def _is_killed(run: KeptRun) -> bool:
    return (
        run.manifest is not None and run.manifest.outcome is manifest.Outcome.RUNNING and not is_driven(run.directory)
    )


def _mark(runs: Path, run: KeptRun, expires: datetime) -> bool:
    try:
        retention.mark(run, expires)
    except OSError as error:
        _logger.warning("%s cannot be marked: %s", run.directory, error.strerror)
        return False
    _record(runs, Act.WORKSPACE_MARKED, run.run_id, expires=expires.isoformat())
    return True


def _held(run: KeptRun) -> FileLock | None:
    """Keep drivers from a run; None where one has it, or is resuming it at this moment."""
    try:
        return try_lock(run.directory / DRIVER_LOCK)
    except OSError:
        return None


def _remove(runs: Path, run: KeptRun, settings: Settings) -> bool:
    held = _held(run)
    if held is None:
        return False
    with held:
        remove_run_of(runs, run.manifest, run.directory.name, settings)
    _record(runs, Act.WORKSPACE_REMOVED, run.run_id)
    return not run.directory.exists()


def _end_uploads(run: KeptRun, *, dry_run: bool) -> int:
    """End uploads that a killed driver began, and return how many."""
    journal = Journal(run.directory / UPLOADS)
    left = sum(1 for _ in journal.left())
    if not left or dry_run:
        return 0 if is_driven(run.directory) else left
    held = _held(run)
    if held is None:
        return 0  # they go on
    with held:
        return journal.end_left()


def remove_run_of(runs: Path, found: manifest.RunManifest | None, run_id: str, settings: Settings) -> None:
    """Remove what a run that nobody drives has here and in object stores; what stays there is told to the log."""
    if found is not None:
        remove_undelivered(found, settings)
    remove_lists(run_id, settings)
    remove_run(runs, run_id)


def remove_lists(run_id: str, settings: Settings) -> None:
    """Remove what calls of a run left in the object store by which their files go, as where its driver was killed."""
    url = _store_of(settings)
    if url is None:
        return
    from cwl_prefect.backends.kubernetes.transfers.garbage import remove_calls

    try:
        remove_calls(url, run_id)
    except CwlPrefectError as error:
        _logger.warning("lists of the calls of %s stay below %s: %s", run_id, shown_url(url), error.message)


def _store_of(settings: Settings) -> str | None:
    """Return where files of calls go in an object store of S3's kind, if they do."""
    return settings.workspaces if scheme_of(settings.workspaces or "") == "s3" else None


def _collect_store(settings: Settings, done: Collected, *, dry_run: bool) -> None:
    """Remove what no call needs from the object store, and end uploads that are too old for somebody to go on with."""
    url = _store_of(settings)
    if url is None:
        return
    from cwl_prefect.backends.kubernetes.transfers.garbage import collect_garbage

    try:
        garbage = collect_garbage(url, dry_run=dry_run)
        done.objects, done.freed = garbage.objects, garbage.freed
        done.uploads += end_abandoned(url, age_s=UPLOAD_AGE_S, dry_run=dry_run)
    except CwlPrefectError as error:
        _logger.warning("what nobody needs below %s stays: %s", shown_url(url), error.message)


def _collect_files(runs: Path, staying: list[KeptRun], *, dry_run: bool) -> int:
    """Remove plans that no run needs, and files that were being written when their writer was killed."""
    old = time.time() - PART_AGE_S
    plans = manifest.unused_plans(runs, retention.used_plans(staying))
    parts = (runs / manifest.PLANS).glob(".*.part")
    found = [path for path in (*plans, *parts) if _may_go(path, old)]
    if not dry_run:
        for path in found:
            with contextlib.suppress(OSError):
                path.unlink()
    return len(found)


def _may_go(path: Path, written_before_s: float) -> bool:
    """Check whether a file is old enough, and this user's own: runs of others in the same directory cannot be read."""
    try:
        return path.stat().st_mtime < written_before_s and os.access(path, os.W_OK)
    except OSError:
        return False


def _record(runs: Path, act: Act, run_id: str, **details: JsonValue) -> None:
    try:
        audit.append(runs, AuditEntry(act=act, run_id=run_id, details=details))
    except OSError as error:
        _logger.warning("the audit trail in %s cannot be written: %s", runs, error.strerror)
