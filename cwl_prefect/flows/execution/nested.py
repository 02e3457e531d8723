"""Subworkflows as flow runs of their own, where a person looks at them: unscattered and few."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from prefect import Flow, State

from cwl_prefect.flows.execution.failures import result_of
from cwl_prefect.flows.execution.task_runs import edges_from
from cwl_prefect.flows.prefect_names import flow_name
from cwl_prefect.model.names import without_indices
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.model.values import CwlObject

WITHOUT_NAME = "Workflow"  # name of a subworkflow that is written in its step; the step names it
LARGEST_SHOWN = 64 * 1024  # bytes of inputs that are stored with a nested flow run


async def run_nested(
    plan: WorkflowPlan,
    values: CwlObject,
    drive: Callable[[], Awaitable[tuple[CwlObject, object]]],
    *,
    name: str,
    after: Sequence[State[object]] = (),
) -> tuple[CwlObject, tuple[State[object], ...]]:
    """Run a subworkflow as a nested flow run.

    Args:
        plan: The subworkflow.
        values: Its inputs, to be shown with the flow run.
        drive: Runs it to its outputs, and more that is of no use outside.
        name: Name of the flow run.
        after: States that it comes after, for the graph.

    Raises:
        CwlPrefectError: One of its steps failed.
    """

    async def _subworkflow(inputs: dict[str, object]) -> CwlObject:  # noqa: ARG001 - shown with the flow run
        outputs, _ = await drive()
        return outputs

    nested: Flow[..., object] = Flow(
        _subworkflow,
        name=flow_name(without_indices(name).rpartition(".")[2] if plan.name == WITHOUT_NAME else plan.name),
        flow_run_name=name,
        description=plan.doc or plan.label,
        validate_parameters=False,
        persist_result=False,
    )
    call = cast("Callable[..., Awaitable[State[object]]]", nested)
    state = await call(inputs=_shown(values), wait_for=edges_from(after), return_state=True)
    return await result_of(state), (_of_flow_run(state),)


def _of_flow_run(state: State[object]) -> State[object]:
    """Return a state without the task run that Prefect keeps in its parent, to which its graph draws no edges."""
    details = state.state_details.model_copy(update={"task_run_id": None})
    return state.model_copy(update={"state_details": details})


def count_unscattered(plan: WorkflowPlan) -> int:
    """Count the subworkflows that run once for each run of the outermost workflow."""
    found = 0
    for step in plan.steps:
        if isinstance(step.run, WorkflowPlan) and step.scatter is None and step.loop is None:
            found += 1 + count_unscattered(step.run)
    return found


def _shown(values: CwlObject) -> dict[str, object]:
    if len(json.dumps(values)) <= LARGEST_SHOWN:
        return dict(values)
    return dict.fromkeys(values, "(too large to be shown)")
