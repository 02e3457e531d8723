"""Plans as the compiler gives them, of which a test says only what it is about."""

from dataclasses import replace
from typing import Any

from cwl_prefect.model.plan import Link, ProcessClass, Source, StepId, StepPlan, ToolPlan, WorkflowPlan

_TOOL = ToolPlan(
    digest="0",
    name="tool",
    process_class=ProcessClass.COMMAND_LINE_TOOL,
    document={},
    requirements=(),
    hints=(),
    cwl_version="v1.2",
    inputs=(),
    outputs=(),
)
_WORKFLOW = WorkflowPlan(
    digest="0",
    name="flow",
    cwl_version="v1.2",
    document={},
    requirements=(),
    hints=(),
    inputs=(),
    steps=(),
    outputs=(),
)


def tool(**said: Any) -> ToolPlan:
    """Give a tool that runs some command."""
    return replace(_TOOL, **said)


def source(text: str) -> Source:
    """Give a source that is written as `step/port`, or `port` for an input of the workflow."""
    step, _, port = text.rpartition("/")
    return Source(step=StepId(step) if step else None, port=port)


def link(port: str, *sources: str, **said: Any) -> Link:
    """Give a link to a port from sources written as above."""
    return Link(port=port, sources=tuple(map(source, sources)), **said)


def step(name: str, *links: Link, run: ToolPlan | WorkflowPlan = _TOOL, **said: Any) -> StepPlan:
    """Give a step whose only output is `o`."""
    return StepPlan(**({"id": StepId(name), "run": run, "links": links, "outputs": ("o",)} | said))


def workflow(*steps: StepPlan, **said: Any) -> WorkflowPlan:
    """Give a workflow of these steps."""
    return replace(_WORKFLOW, steps=steps, **said)
