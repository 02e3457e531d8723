"""Acts upon runs, recorded where people look for them: in the audit trail and as Prefect events."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from cwl_prefect.engine import audit
from cwl_prefect.engine.audit import Act, AuditEntry
from cwl_prefect.engine.workspace import run_directory
from cwl_prefect.settings import OnError

if TYPE_CHECKING:
    from cwl_prefect.flows.run import Run

_logger = logging.getLogger(__name__)

EVENTS = "cwl-prefect.run"
"""Beginning of the events' names, as ``cwl-prefect.run.cancelled``; automations can react to them."""


def record(runs: Path, act: Act, run_id: str | None, **details: JsonValue) -> AuditEntry:
    """Record an act: in ``<runs>/audit.jsonl``, beside the run's manifest where there is one, and as a Prefect event.

    A trail that cannot be written is told to the log and stops nobody. No secrets belong into ``details``.

    Args:
        runs: Directory of all workspaces.
        act: What was done.
        run_id: To which flow run; None where it concerns no single one.
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
    _emit(entry)
    return entry


@asynccontextmanager
async def audited(run: "Run") -> AsyncIterator[None]:
    """Record the beginning and the end of a run."""
    tell = partial(record, run.runs, run_id=run.run_id)
    tell(Act.RESUMED if run.again else Act.STARTED, workflow=run.plan.name, digest=run.plan.digest)
    try:
        yield
    except asyncio.CancelledError:
        if not _end_is_told(run):
            tell(Act.CANCELLED if run.caller.cancelled else Act.INTERRUPTED)
        raise
    except Exception as error:
        tell(Act.FAILED, error=type(error).__name__)
        raise
    if not run.caller.errors:
        tell(Act.COMPLETED)
        return
    partly = run.settings.on_error is OnError.CONTINUE
    tell(Act.PARTIAL if partly else Act.FAILED, failures=len(run.caller.errors))


def _end_is_told(run: "Run") -> bool:
    """Tell whether the command that ended a run has recorded it on this machine."""
    return audit.last_act(run_directory(run.runs, run.run_id)) in (Act.INTERRUPTED, Act.CANCELLED)


def _emit(entry: AuditEntry) -> None:
    from prefect.events import emit_event

    about = f"prefect.flow-run.{entry.run_id}" if entry.run_id is not None else "cwl-prefect.runs"
    emit_event(
        event=f"{EVENTS}.{entry.act}",
        resource={"prefect.resource.id": about, "prefect.resource.role": "flow-run"},
        payload=entry.as_object(),
        occurred=entry.when,
    )
