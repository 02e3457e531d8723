"""The own expressions of steps, evaluated off the event loop."""

from cwl_prefect.cwl.evaluate import holds, step_values
from cwl_prefect.engine.links import merge
from cwl_prefect.flows.run import Run
from cwl_prefect.model.plan import Loop, StepPlan
from cwl_prefect.model.values import CwlObject, CwlValue


async def evaluated(run: Run, step: StepPlan, values: CwlObject, *, name: str) -> CwlObject:
    """Give the inputs of a step after its loadContents, loadListing and valueFrom (CWL Workflow, §WorkflowStepInput).

    Raises:
        CwlPrefectError: An expression failed, or a file cannot be read.
    """
    if not any(link.value_from is not None or link.load_contents or link.load_listing for link in step.links):
        return values
    return await run.in_thread(step_values, step.links, values, requirements=step.requirements, name=name)


async def condition_holds(run: Run, condition: str, step: StepPlan, values: CwlObject, *, name: str) -> bool:
    """Evaluate the condition of a step or loop.

    Raises:
        CwlPrefectError: It failed, or gives no boolean.
    """
    return await run.in_thread(holds, condition, values, requirements=step.requirements, name=name)


async def next_inputs(
    run: Run, step: StepPlan, loop: Loop, current: CwlObject, outputs: CwlObject, *, name: str
) -> CwlObject:
    """Give the inputs of a loop's next iteration (CWL v1.3 draft, §LoopInput).

    Raises:
        CwlPrefectError: An expression failed.
    """
    merged: CwlObject = dict(current)
    for link in loop.links:
        values = [outputs.get(source.port) for source in link.sources]
        merged[link.port] = merge(link, values) if link.sources else _or_default(link.default, current[link.port])
    return await run.in_thread(step_values, loop.links, merged, requirements=step.requirements, name=name, seen=current)


def _or_default(default: CwlValue, current: CwlValue) -> CwlValue:
    return current if default is None else default
