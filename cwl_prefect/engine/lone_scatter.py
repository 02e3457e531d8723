"""A scatter as a workflow of its own, so that it is known by what a subworkflow is known by."""

from dataclasses import replace

from cwl_prefect.model.plan import InputPort, Link, OutputPort, Source, StepPlan, ToolPlan, WorkflowPlan


def lone_scatter(step: StepPlan) -> WorkflowPlan | None:
    """Give the workflow that has only this scatter; its inputs are the values that the step's links give it.

    What comes after sources, defaults and merging, as valueFrom, stays with the step.

    Returns:
        None where the step runs no tool, or some of its calls may be skipped.
    """
    if step.scatter is None or step.when is not None or not isinstance(step.run, ToolPlan):
        return None
    tool = step.run
    return WorkflowPlan(
        digest=tool.digest,
        name=tool.name,
        cwl_version=tool.cwl_version,
        document={"inputs": []},
        requirements=(),
        hints=(),
        inputs=tuple(InputPort(id=link.port, type="Any") for link in step.links),
        steps=(replace(step, links=tuple(map(_from_input, step.links))),),
        outputs=tuple(
            OutputPort(id=port, type="Any", link=Link(port=port, sources=(Source(step=step.id, port=port),)))
            for port in step.outputs
        ),
    )


def _from_input(link: Link) -> Link:
    return Link(
        port=link.port,
        sources=(Source(step=None, port=link.port),),
        value_from=link.value_from,
        load_contents=link.load_contents,
        load_listing=link.load_listing,
    )
