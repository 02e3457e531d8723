"""What must happen when a flow run ends in a way that no `finally` sees."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from prefect import Flow, State
from prefect.client.schemas.objects import FlowRun

from cwl_prefect.engine.records import manifest
from cwl_prefect.engine.records.audit import Act
from cwl_prefect.engine.records.manifest import Outcome
from cwl_prefect.environment import own_flow_run, own_pod
from cwl_prefect.flows.cleanup import attempted
from cwl_prefect.flows.driver_lock import is_driven
from cwl_prefect.flows.endings import close_what_is_left
from cwl_prefect.flows.lifecycle.audit import record
from cwl_prefect.flows.lifecycle.reaping import reap_run
from cwl_prefect.flows.lifecycle.workdirs import Workdirs
from cwl_prefect.settings import Settings


def reaper(settings: Settings) -> Callable[[Flow[..., object], FlowRun, State[object]], Awaitable[None]]:
    """Return the hook of a flow that removes the containers and Jobs which a cancelled or crashed run may have left.

    Prefect calls it by keyword, and perhaps in another process than the flow's, when the run may have begun again.

    Args:
        settings: Those of the run.
    """

    async def reap(flow: Flow[..., object], flow_run: FlowRun, state: State[object]) -> None:  # noqa: ARG001 - Prefect's
        """Remove what a run left, by its label only."""
        run_id = str(flow_run.id)
        directory = Workdirs.of(settings).directory_of(run_id)
        if is_driven(directory):
            return
        if state.is_crashed():
            record(directory.parent, Act.CRASHED, run_id)
        if state.is_crashed() or _is_killed(directory):
            await attempted(f"task runs of the run {run_id} may seem to go on", close_what_is_left(run_id))
        removed = await reap_run(run_id)
        if removed:
            record(directory.parent, Act.REAPED, run_id, removed=removed)

    return reap


def _is_killed(directory: Path) -> bool:
    """Check whether the driver of a run, which has none any more, did not live to note how it ended."""
    found = manifest.read(directory)
    return found is not None and found.outcome is Outcome.RUNNING


def ends_of_pod() -> list[Callable[[Flow[..., object], FlowRun, State[object]], Awaitable[None]]]:
    """Return the hooks of a flow, whatever its end, that let no other container of its pod keep its Job alive."""
    return [] if own_pod() is None else [end_pod]


async def end_pod(flow: Flow[..., object], flow_run: FlowRun, state: State[object]) -> None:  # noqa: ARG001 - Prefect's
    """End the Jobs that workers made for this flow run where containers beside that of the run go on."""
    from cwl_prefect.backends.kubernetes.jobs import end_flow_run_jobs

    run_id, place = str(flow_run.id), own_pod()
    if place is not None and own_flow_run() == run_id:
        ending = end_flow_run_jobs(run_id, place[0])
        await attempted("the Job of this flow run could not be ended, although it is done", ending)
