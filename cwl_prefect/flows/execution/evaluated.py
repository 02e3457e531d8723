"""Inputs of steps: their own expressions, evaluated off the event loop, what their tools declare, and what is told."""

from collections.abc import Mapping, Sequence
from itertools import islice

from cwl_prefect.cwl.binding.evaluate import holds, step_values
from cwl_prefect.cwl.values.errors import call_errors
from cwl_prefect.cwl.values.type_errors import shown
from cwl_prefect.engine.records.secrets import object_without
from cwl_prefect.engine.workflow.links import merge
from cwl_prefect.flows.execution.run import Run
from cwl_prefect.model.plan import Link, Loop, StepPlan, ToolPlan
from cwl_prefect.model.values import CwlObject, CwlValue

MOST_TOLD = 20  # inputs of a call


async def evaluated(run: Run, step: StepPlan, values: CwlObject, *, name: str) -> CwlObject:
    """Return the inputs of a step after its loadContents, loadListing and valueFrom (CWL Workflow, §WorkflowStepInput).

    Raises:
        CwlPrefectError: An expression failed, or a file cannot be read.
    """
    if not any(link.value_from is not None or link.load_contents or link.load_listing for link in step.links):
        return values
    return await _step_values(run, step, step.links, values, name=name)


async def condition_holds(run: Run, condition: str, step: StepPlan, values: CwlObject, *, name: str) -> bool:
    """Evaluate the condition of a step or loop.

    Raises:
        CwlPrefectError: It failed, or gives no boolean.
    """
    return await run.in_thread(
        holds, condition, values, requirements=step.requirements, name=name, places=run.places_of(name)
    )


async def next_inputs(
    run: Run, step: StepPlan, loop: Loop, current: CwlObject, outputs: CwlObject, *, name: str
) -> CwlObject:
    """Return the inputs of a loop's next iteration (CWL v1.3 draft, §LoopInput).

    Raises:
        CwlPrefectError: An expression failed, or a ``pickValue`` cannot be met.
    """
    merged: CwlObject = dict(current)
    with call_errors(name, places=run.places_of(name)):
        for link in loop.links:
            values = [outputs.get(source.port) for source in link.sources]
            merged[link.port] = merge(link, values) if link.sources else _or_default(link.default, current[link.port])
    return await _step_values(run, step, loop.links, merged, name=name, seen=current)


def only_declared(tool: ToolPlan, values: Mapping[str, object]) -> dict[str, object]:
    """Keep the values of inputs that a tool declares; a step may have others for its expressions."""
    names = {port.id for port in tool.inputs}
    return {port: value for port, value in values.items() if port in names}


async def _step_values(
    run: Run, step: StepPlan, links: Sequence[Link], values: CwlObject, *, name: str, seen: CwlObject | None = None
) -> CwlObject:
    return await run.in_thread(
        step_values,
        links,
        values,
        requirements=step.requirements,
        name=name,
        seen=seen,
        places=run.places_of(name),
        host_files=run.binder.host_files,
    )


def _or_default(default: CwlValue, current: CwlValue) -> CwlValue:
    return current if default is None else default


def told_inputs(tool: ToolPlan, values: CwlObject, secret: Sequence[str]) -> list[str]:
    """Return in a line what a call takes, shortened and without secrets; no line where that is nothing."""
    first = object_without(dict(islice(values.items(), MOST_TOLD)), tool, secret)
    told = ", ".join(f"{name} {shown(value)}" for name, value in first.items())
    more = len(values) - len(first)
    return [f"inputs:    {told}{f', and {more} more' if more > 0 else ''}"] if told else []
