"""How long workspaces stay: until their run's time is up, and then for a while more, in which they can be had back.

Deleting has two phases. A run whose time is up is marked with the moment after which it is removed; until then it is
seen as marked, and restoring it takes the mark away. A run that is driven is never touched.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cwl_prefect._lib.atomic_write import write_whole
from cwl_prefect.engine.records import manifest
from cwl_prefect.engine.records.manifest import Outcome, RunManifest
from cwl_prefect.engine.staging.workspace import DRIVER_LOCK

MARK = "expires.json"
"""File in a run's directory that says when it is removed."""

_ENDED_WELL = frozenset((Outcome.COMPLETED,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long workspaces are kept.

    Attributes:
        succeeded: After a run that ended well.
        unfinished: After a run that failed, was stopped or killed, and may be resumed.
        marked: After they were marked.
    """

    succeeded: timedelta
    unfinished: timedelta
    marked: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRun:
    """A run whose workspaces are on this machine.

    Attributes:
        directory: Where they are.
        manifest: What is known of it; None where nothing can be read.
        changed: When something last happened to it.
        expires: When it is removed; None where it is not marked.
    """

    directory: Path
    manifest: RunManifest | None
    changed: datetime
    expires: datetime | None

    @property
    def name(self) -> str:
        """Name for people."""
        return self.directory.name if self.manifest is None else self.manifest.name

    @property
    def run_id(self) -> str:
        """Its flow run."""
        return self.directory.name if self.manifest is None else self.manifest.run_id

    def due(self, retention: Retention, now: datetime) -> bool:
        """Check whether its time is up."""
        well = self.manifest is not None and self.manifest.outcome in _ENDED_WELL
        return now - self.changed >= (retention.succeeded if well else retention.unfinished)


def kept_runs(runs: Path) -> Iterator[KeptRun]:
    """Yield every run whose workspaces are in a directory, in no order; what else is there is somebody's own."""
    try:
        found = list(os.scandir(runs))
    except OSError:
        return
    for entry in found:
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            run = _kept(Path(entry.path), entry.stat(follow_symlinks=False).st_mtime)
            if run.manifest is not None or os.access(run.directory / DRIVER_LOCK, os.W_OK):
                yield run


def mark(run: KeptRun, expires: datetime) -> None:
    """Return when a run is to be removed.

    Raises:
        OSError: It cannot be written.
    """
    write_whole(run.directory / MARK, json.dumps({"expires": expires.isoformat()}).encode())


def restore(run: KeptRun) -> None:
    """Take the mark away, and let the time of the run begin anew.

    Raises:
        OSError: It cannot be removed.
    """
    (run.directory / MARK).unlink(missing_ok=True)
    found = run.directory / manifest.MANIFEST
    if found.exists():
        os.utime(found)
    os.utime(run.directory)


def size_of(directory: Path) -> int:
    """Return the bytes that a directory takes on the disk; what other names hold too is counted as well."""
    total, pending = 0, [directory]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(Path(entry.path))
        except OSError:
            continue
    return total


def used_plans(kept: Iterable[KeptRun]) -> set[str]:
    """Return the digests of the plans that runs need for being resumed."""
    return {run.manifest.plan for run in kept if run.manifest is not None}


def _kept(directory: Path, changed_s: float) -> KeptRun:
    found = manifest.read(directory)
    if found is not None:
        changed_s = (directory / manifest.MANIFEST).stat().st_mtime
    return KeptRun(
        directory=directory,
        manifest=found,
        changed=datetime.fromtimestamp(changed_s, UTC),
        expires=_expiry(directory),
    )


def _expiry(directory: Path) -> datetime | None:
    try:
        return datetime.fromisoformat(json.loads((directory / MARK).read_text())["expires"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return datetime.now(UTC) + timedelta(days=1)  # a mark that cannot be read removes nothing today
