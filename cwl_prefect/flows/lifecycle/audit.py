"""Acts upon runs, recorded where people look for them: in the audit trail and as Prefect events."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from pydantic import JsonValue

from cwl_prefect._lib.destinations import below
from cwl_prefect.engine.outputs.publish import MANIFEST
from cwl_prefect.engine.records import audit
from cwl_prefect.engine.records.audit import EVENTS, Act, AuditEntry
from cwl_prefect.engine.records.secrets import secret_texts, without
from cwl_prefect.engine.staging.workspace import run_directory
from cwl_prefect.flows.execution.run import Run, Stopped
from cwl_prefect.model.values import bounded
from cwl_prefect.settings import OnError

_logger = logging.getLogger(__name__)


def record(
    runs: Path,
    act: Act,
    run_id: str | None,
    *,
    results: Mapping[str, JsonValue] | None = None,
    **details: JsonValue,
) -> AuditEntry:
    """Record an act: in ``<runs>/audit.jsonl``, beside the run's manifest where there is one, and as a Prefect event.

    A trail that cannot be written is told to the log and stops nobody. No secrets belong into ``details``.

    Args:
        runs: Directory of all workspaces.
        act: What was done.
        run_id: To which flow run; None where it concerns no single one.
        results: What came of it, which only the event carries.
        details: What else is known.
    """
    entry = AuditEntry(act=act, run_id=run_id, details=details)
    directories = [runs]
    if run_id is not None and (own := run_directory(runs, run_id)).is_dir():
        directories.append(own)
    for directory in directories:
        try:
            audit.append(directory, entry)
        except OSError as error:
            _logger.warning("the audit trail in %s cannot be written: %s", directory, error.strerror)
    _emit(entry, results or {})
    return entry


@asynccontextmanager
async def audited(run: Run) -> AsyncIterator[None]:
    """Record the beginning and the end of a run."""
    tell = partial(record, run.runs, run_id=run.run_id)
    tell(Act.RESUMED if run.again else Act.STARTED, workflow=run.plan.name, digest=run.plan.digest)
    try:
        yield
    except asyncio.CancelledError:
        if not _end_is_told(run):
            tell(Act.CANCELLED if run.progress.stopped is Stopped.CANCELLED else Act.INTERRUPTED)
        raise
    except Exception as error:
        tell(Act.FAILED, error=type(error).__name__)
        raise
    failures = run.progress.failures
    if not failures:
        tell(Act.COMPLETED, results=_results(run))
        return
    partly = run.settings.on_error is OnError.CONTINUE
    tell(
        Act.PARTIAL if partly else Act.FAILED,
        results=_results(run) if partly else None,
        failures=len(failures),
        error=type(failures[0]).__name__,
    )


def _results(run: Run) -> dict[str, JsonValue]:
    """Return what an event tells of results: where they are, and the output object where it is not too large."""
    secret = secret_texts(run.plan, run.request.job_order)
    return {
        "workflow": run.plan.name,
        "outdir": str(run.outdir),
        "outputs_file": str(below(run.outdir, MANIFEST)),
        "outputs": bounded(without(run.progress.outputs, secret)),
    }


def _end_is_told(run: Run) -> bool:
    """Check whether the command that ended a run has recorded it on this machine."""
    return audit.last_act(run_directory(run.runs, run.run_id)) in (Act.INTERRUPTED, Act.CANCELLED)


def _emit(entry: AuditEntry, results: Mapping[str, JsonValue]) -> None:
    from prefect.events import emit_event

    about = f"prefect.flow-run.{entry.run_id}" if entry.run_id is not None else "cwl-prefect.runs"
    emit_event(
        event=f"{EVENTS}.{entry.act}",
        resource={"prefect.resource.id": about, "prefect.resource.role": "flow-run"},
        payload={**entry.as_object(), **results},
        occurred=entry.when,
    )
