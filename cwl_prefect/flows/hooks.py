"""What must happen when a flow run ends in a way that no `finally` sees."""

from typing import Any

from prefect import Flow, State
from prefect.client.schemas.objects import FlowRun

from cwl_prefect.engine.audit import Act
from cwl_prefect.flows.audit import record
from cwl_prefect.flows.claim import is_driven
from cwl_prefect.flows.reaping import reap_run
from cwl_prefect.flows.run import CALLER
from cwl_prefect.flows.workdirs import Workdirs
from cwl_prefect.settings import Settings


async def reap(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - as Prefect calls
    """Remove the containers and Jobs that a cancelled or crashed flow run may have left; selects by label only.

    Prefect calls it by keyword, and perhaps in another process than the flow's, when the run may have begun again.
    """
    run_id, caller = str(flow_run.id), CALLER.get()
    directory = Workdirs.of(Settings() if caller is None else caller.settings).directory_of(run_id)
    if is_driven(directory):
        return
    if state.is_crashed():
        record(directory.parent, Act.CRASHED, run_id)
    removed = await reap_run(run_id)
    if removed:
        record(directory.parent, Act.REAPED, run_id, removed=removed)
