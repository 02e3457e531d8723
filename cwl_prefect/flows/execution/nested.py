"""Subworkflows as flow runs of their own, where a person looks at them: unscattered and few."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from prefect import Flow, State

from cwl_prefect.errors import ServerError
from cwl_prefect.flows.execution.failures import result_of
from cwl_prefect.flows.execution.task_runs import edges_from
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.model.values import CwlObject, shown_value
from cwl_prefect.server.failures import api_failures

FLOW = "subworkflow"  # of all subworkflows: Prefect's list of flows has those that people know
LARGEST_SHOWN = 64 * 1024  # bytes of inputs that are stored with a nested flow run

_logger = logging.getLogger(__name__)


async def run_nested(
    values: CwlObject,
    drive: Callable[[], Awaitable[tuple[CwlObject, object]]],
    *,
    name: str,
    after: Sequence[State[object]] = (),
) -> tuple[CwlObject, tuple[State[object], ...]]:
    """Run a subworkflow as a nested flow run, or within its parent where the API does not take another flow run.

    Args:
        values: Inputs of the subworkflow, to be shown with the flow run.
        drive: Runs it to its outputs, and more that is of no use outside.
        name: Name of the flow run.
        after: States that it comes after, for the graph.

    Raises:
        CwlPrefectError: One of its steps failed.
        ServerError: The API failed while they ran.
    """
    begun: list[bool] = []
    ended: list[CwlObject] = []

    async def _subworkflow(inputs: dict[str, object]) -> CwlObject:  # noqa: ARG001 - shown with the flow run
        begun.append(True)
        outputs, _ = await drive()
        ended.append(outputs)
        return outputs

    call = cast("Callable[..., Awaitable[State[object]]]", _flow(_subworkflow, name))
    try:
        with api_failures(f"the flow run of {name} could not be recorded"):
            state = await call(inputs=_shown(values), wait_for=edges_from(after), return_state=True)
    except ServerError as error:
        if begun and not ended:
            raise
        _logger.warning("%s; the run goes on without it.", error.message.rstrip("."))
        return (ended[0] if ended else (await drive())[0]), ()
    return await result_of(state), (_of_flow_run(state),)


def _flow(body: Callable[..., Awaitable[CwlObject]], name: str) -> Flow[..., object]:
    return Flow(body, name=FLOW, flow_run_name=name, validate_parameters=False, persist_result=False)


def _of_flow_run(state: State[object]) -> State[object]:
    """Return a state whose task run is the flow run itself, to which Prefect's graph draws edges.

    It draws none to the task run that Prefect keeps in the parent, and its page of a task run that has an input of the
    kind `flow_run` stays empty (3.9.1).
    """
    details = state.state_details
    details = details.model_copy(update={"task_run_id": details.flow_run_id})
    return state.model_copy(update={"state_details": details})


def count_unscattered(plan: WorkflowPlan) -> int:
    """Count the subworkflows that run once for each run of the outermost workflow."""
    found = 0
    for step in plan.steps:
        if isinstance(step.run, WorkflowPlan) and step.scatter is None and step.loop is None:
            found += 1 + count_unscattered(step.run)
    return found


def _shown(values: CwlObject) -> dict[str, object]:
    told = shown_value(values, LARGEST_SHOWN)
    return dict.fromkeys(values, "(too large to be shown)") if told is None else dict(told)
