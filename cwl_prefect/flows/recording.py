"""Keep a run's manifest up to date while it is driven."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from prefect.client.schemas.objects import FlowRun

from cwl_prefect.engine import manifest
from cwl_prefect.engine.manifest import Outcome, RunManifest
from cwl_prefect.engine.workspace import run_directory
from cwl_prefect.flows.run import Run
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.model.values import as_object
from cwl_prefect.settings import OnError

_logger = logging.getLogger(__name__)


@asynccontextmanager
async def recorded(run: Run, plan: WorkflowPlan, order: Mapping[str, Any], flow_run: FlowRun) -> AsyncIterator[None]:
    """Write the manifest of a run when it begins, and how it ended.

    A manifest that cannot be written is told to the log: the run goes on, but cannot be resumed.
    """
    found = _manifest(run, plan, order, flow_run)
    await run.in_thread(_write, run, found, plan)
    outcome = Outcome.INTERRUPTED
    try:
        yield
        outcome = Outcome.COMPLETED
    except Exception:
        outcome = Outcome.FAILED
        raise
    finally:
        if outcome is Outcome.INTERRUPTED and run.caller.cancelled:
            outcome = Outcome.CANCELLED
        elif outcome is not Outcome.INTERRUPTED and run.caller.errors:
            outcome = Outcome.PARTIAL if run.settings.on_error is OnError.CONTINUE else Outcome.FAILED
        await asyncio.shield(run.in_thread(_write, run, found.ended_as(outcome, _first_line(run)), None))


def _manifest(run: Run, plan: WorkflowPlan, order: Mapping[str, Any], flow_run: FlowRun) -> RunManifest:
    settings = run.settings.model_dump(mode="json", exclude_unset=True, exclude={"home"})
    found = RunManifest(
        run_id=run.run_id,
        name=flow_run.name,
        workflow=plan.name,
        plan=plan.digest,
        job_order=as_object(order),
        outdir=None if run.caller.outdir is None else str(run.caller.outdir.absolute()),
        settings=manifest.without_credentials(settings),
        tags=tuple(flow_run.tags),
    )
    before = manifest.read(run_directory(run.runs, run.run_id)) if run.again else None
    if before is None:
        return found
    return replace(found, began=before.began, drivers=before.drivers + 1, host=socket.gethostname(), pid=os.getpid())


def _write(run: Run, found: RunManifest, plan: WorkflowPlan | None) -> None:
    directory = run_directory(run.runs, run.run_id)
    if not directory.is_dir():
        return  # its workspaces were not to be kept
    try:
        manifest.write(directory, found, plan)
    except OSError as error:
        _logger.warning("the manifest of the run cannot be written to %s: %s", directory, error.strerror)


def _first_line(run: Run) -> str | None:
    return str(run.caller.errors[0]).partition("\n")[0] if run.caller.errors else None
