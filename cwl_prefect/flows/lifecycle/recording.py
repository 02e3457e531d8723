"""Keep a run's manifest up to date while it is driven, and until Prefect knows how it ended."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from prefect import Flow, State
from prefect.client.schemas.objects import FlowRun

from cwl_prefect.engine.records import manifest
from cwl_prefect.engine.records.audit import AUDIT_FILE
from cwl_prefect.engine.records.manifest import Outcome, RunManifest
from cwl_prefect.engine.staging.workspace import DRIVER_LOCK, clear_run, remove_run, run_directory
from cwl_prefect.flows.driver_lock import is_driven
from cwl_prefect.flows.execution.run import Run
from cwl_prefect.flows.lifecycle.collecting import remove_lists
from cwl_prefect.flows.lifecycle.stopping import INTERRUPTED
from cwl_prefect.flows.lifecycle.workdirs import Workdirs
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.settings import Keep, Settings

_logger = logging.getLogger(__name__)


@asynccontextmanager
async def recorded(run: Run, plan: WorkflowPlan, flow_run: FlowRun) -> AsyncIterator[None]:
    """Write the manifest of a run when it begins, and how it failed; that it is complete is for :func:`concluded`.

    A manifest that cannot be written is told to the log: the run goes on, but cannot be resumed.
    """
    found = _manifest(run, plan, flow_run)
    directory = run_directory(run.runs, run.run_id)
    await run.in_thread(_write, directory, found, plan)
    outcome = Outcome.INTERRUPTED
    try:
        yield
        outcome = Outcome.COMPLETED
    except Exception:
        outcome = Outcome.FAILED
        raise
    finally:
        known = run.progress.outcome(run.settings.on_error)
        if outcome is Outcome.COMPLETED or known is Outcome.CANCELLED:
            outcome = known
        if outcome is not Outcome.COMPLETED:
            await asyncio.shield(run.in_thread(_write, directory, found.ended_as(outcome, _first_line(run)), None))


def clear(run: Run, *, succeeded: bool) -> None:
    """Remove the workspaces of a run that ended, where they are not to be kept.

    Its manifest and trail stay until Prefect knows how the run ended: so it can be resumed where its driver is killed
    now, and is known to have been cancelled.
    """
    if not _is_kept(run.settings.keep, succeeded=succeeded):
        remove_lists(run.run_id, run.settings)
        clear_run(run.runs, run.run_id, spared=frozenset({manifest.MANIFEST, AUDIT_FILE, DRIVER_LOCK}))


def concluded(settings: Settings) -> Callable[[Flow[..., object], FlowRun, State[object]], None]:
    """Return the hook of a flow that notes the end of a run once Prefect knows it.

    Args:
        settings: Those of the run.
    """

    def conclude(flow: Flow[..., object], flow_run: FlowRun, state: State[object]) -> None:  # noqa: ARG001 - as Prefect calls
        """Note that a run is complete, or remove what is left of it where nothing is to be kept."""
        directory = Workdirs.of(settings).directory_of(str(flow_run.id))
        if not directory.is_dir() or is_driven(directory):
            return  # it may have begun again
        begun = any(path.name != DRIVER_LOCK for path in directory.iterdir())
        if not begun or not _is_kept(settings.keep, succeeded=state.is_completed()):
            remove_run(directory.parent, str(flow_run.id))
            return
        outcome = _known_to_prefect(state)
        found = None if outcome is None else manifest.read(directory)
        if outcome is not None and found is not None and found.outcome is not outcome:
            note_end(directory, found.ended_as(outcome, found.error))

    return conclude


def _known_to_prefect(state: State[object]) -> Outcome | None:
    """Return the outcome that Prefect alone knows: its worker may have ended a cancelled run without a word to it."""
    if state.is_completed():
        return Outcome.COMPLETED
    return Outcome.CANCELLED if state.is_cancelled() and state.name != INTERRUPTED else None


def note_end(directory: Path, found: RunManifest) -> None:
    """Write down how a run ended that nobody drives, as far as its workspaces are kept and can be written."""
    _write(directory, found, None)


def _is_kept(keep: Keep, *, succeeded: bool) -> bool:
    return keep is Keep.ALWAYS or (keep is Keep.ON_FAILURE and not succeeded)


def _manifest(run: Run, plan: WorkflowPlan, flow_run: FlowRun) -> RunManifest:
    found = RunManifest(
        run_id=run.run_id,
        name=flow_run.name,
        workflow=plan.name,
        plan=plan.digest,
        job_order=run.request.job_order,
        document=None if flow_run.deployment_id is not None else _document(plan),
        outdir=str(run.outdir),
        settings=manifest.kept_settings(run.settings),
        tags=tuple(flow_run.tags),
    )
    before = manifest.read(run_directory(run.runs, run.run_id)) if run.again else None
    if before is None:
        return found
    return replace(found, began=before.began, drivers=before.drivers + 1, host=socket.gethostname(), pid=os.getpid())


def _document(plan: WorkflowPlan) -> str | None:
    """Return where the document of a plan is, whole for a process elsewhere; None where it alone does not give it."""
    if plan.origin is None or not plan.as_written:
        return None
    return plan.origin if "://" in plan.origin else str(Path.cwd() / plan.origin)


def _write(directory: Path, found: RunManifest, plan: WorkflowPlan | None) -> None:
    if not directory.is_dir():
        return  # its workspaces were not to be kept
    try:
        manifest.write(directory, found, plan)
    except OSError as error:
        _logger.warning("the manifest of the run cannot be written to %s: %s", directory, error.strerror)


def _first_line(run: Run) -> str | None:
    failures = run.progress.failures
    return str(failures[0]).partition("\n")[0] if failures else None
