"""What is known of a run on this machine: one small file in its directory, enough to run it again.

The plan itself is kept once for all runs of the same one. Files are written aside and then renamed, so that a reader
finds the old or the new.
"""

import json
import os
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from pathlib import Path

from pydantic import JsonValue, TypeAdapter, ValidationError

from cwl_prefect._lib.atomic_write import write_whole
from cwl_prefect._lib.own_files import make_private, read_own
from cwl_prefect.errors import DocumentError
from cwl_prefect.model.plan import WorkflowPlan, decode_plan, encode_plan
from cwl_prefect.model.values import CwlObject
from cwl_prefect.settings import Settings

MANIFEST = "run.json"
"""Name of the file in a run's directory."""

PLANS = ".plans"
"""Directory beside the runs', with their plans by digest."""

_CREDENTIALS = re.compile(r"://[^/@\s]+@")


class Outcome(StrEnum):
    """How far a run came; one that still says ``running`` without any driver was killed."""

    RUNNING = "running"
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # by a signal, `cwl-prefect runs interrupt`, or its time limit
    CANCELLED = "cancelled"  # nobody wants it to be finished


@dataclass(frozen=True, slots=True, kw_only=True)
class RunManifest:
    """A run.

    Attributes:
        run_id: Its Prefect flow run.
        name: The flow run's name.
        workflow: Name of what it runs.
        plan: Digest of its plan.
        job_order: Its inputs, with all defaults.
        document: Its document, where that alone gives its plan.
        outdir: Destination of its results.
        settings: What it was told to do otherwise than by default; no credentials.
        tags: The flow run's tags.
        outcome: How far it came.
        host: Machine of its driver.
        pid: Process of its driver.
        began: When it was started first.
        ended: When its last driver ended it.
        drivers: How often it was started.
        error: The first line of its failure.
    """

    run_id: str
    name: str
    workflow: str
    plan: str
    job_order: CwlObject
    document: str | None = None
    outdir: str | None = None
    settings: Mapping[str, JsonValue] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    outcome: Outcome = Outcome.RUNNING
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: datetime | None = None
    drivers: int = 1
    error: str | None = None

    def ended_as(self, outcome: Outcome, error: str | None = None) -> "RunManifest":
        """Return the manifest of the run at its end."""
        return replace(self, outcome=outcome, ended=datetime.now(UTC), error=error)


def write(directory: Path, manifest: RunManifest, plan: WorkflowPlan | None = None) -> None:
    """Write the manifest of a run, and its plan where it is not kept yet.

    Args:
        directory: The run's own; it exists.
        manifest: What is known.
        plan: What it runs; None where it was kept before.

    Raises:
        OSError: A file cannot be written.
    """
    if plan is not None:
        kept = _plan_file(directory.parent, plan.digest)
        if not kept.exists():
            make_private(kept.parent)
            write_whole(kept, encode_plan(plan), durable=True)
    write_whole(directory / MANIFEST, json.dumps(asdict(manifest), default=_plain).encode(), durable=True)


def read(directory: Path) -> RunManifest | None:
    """Read the manifest in a run's directory; None where there is none that can be read."""
    try:
        return _adapter().validate_python(json.loads(read_own(directory / MANIFEST)))
    except (OSError, ValueError):
        return None


def read_all(runs: Path) -> Iterator[tuple[Path, RunManifest]]:
    """Yield every run's directory with its manifest, in no order."""
    try:
        found = list(os.scandir(runs))
    except OSError:
        return
    for entry in found:
        manifest = read(Path(entry.path))
        if manifest is not None:
            yield Path(entry.path), manifest


def plan_of(directory: Path, manifest: RunManifest) -> WorkflowPlan:
    """Read the plan of a run.

    Raises:
        DocumentError: It is gone, or of another version.
    """
    try:
        return decode_plan(read_own(_plan_file(directory.parent, manifest.plan)))
    except (OSError, ValueError, ValidationError) as error:
        raise DocumentError(
            f"the plan of the run {manifest.name} cannot be read: {error}",
            hint="run the workflow again: what finished is found in the cache.",
        ) from error


def unused_plans(runs: Path, used: set[str]) -> list[Path]:
    """Return the kept plans that none of these digests names."""
    try:
        return [path for path in (runs / PLANS).iterdir() if path.suffix == ".json" and path.stem not in used]
    except OSError:
        return []


def kept_settings(settings: Settings) -> dict[str, JsonValue]:
    """Return what a run was told to do otherwise than by default, but nothing with a user name or password in it."""
    given = settings.model_dump(mode="json", exclude_unset=True, exclude={"home"})
    return {name: value for name, value in given.items() if not _CREDENTIALS.search(str(value))}


def _plan_file(runs: Path, digest: str) -> Path:
    return runs / PLANS / f"{re.sub('[^A-Za-z0-9]', '-', digest)}.json"


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


@cache
def _adapter() -> TypeAdapter[RunManifest]:
    return TypeAdapter(RunManifest)
