"""What is wrong between a workflow and its steps: inputs that get no value, and values that nobody reads."""

from collections.abc import Iterator

from cwltool.process import shortname
from cwltool.workflow import Workflow, WorkflowStep
from schema_salad.utils import aslist

from cwl_prefect._lib.suggestions import did_you_mean, near
from cwl_prefect.cwl.checking.references import read_inputs
from cwl_prefect.cwl.javascript.uses import uses_of_step
from cwl_prefect.cwl.loading.places import place_of
from cwl_prefect.model.findings import Finding, Severity


def findings_of_steps(workflow: Workflow) -> Iterator[Finding]:
    """Yield what is wrong with the links of a workflow."""
    for step in workflow.steps:
        yield from _unconnected(step)
        yield from _without_value(step)
    yield from _unread(workflow)
    yield from _unread_steps(workflow)
    yield from _outputs_without_source(workflow)


def _unconnected(step: WorkflowStep) -> Iterator[Finding]:
    """Yield values for inputs that what a step runs does not have, and that the step itself does not read."""
    read = _read_by(step)
    if read is None:
        return
    given = {shortname(entry["id"]) for entry in step.tool["in"]}
    inputs = [shortname(entry["id"]) for entry in step.embedded_tool.tool["inputs"]]
    name = shortname(step.id)
    for number, entry in enumerate(step.tool["in"]):
        port = shortname(entry["id"])
        if port in inputs or port in read:
            continue
        free = [each for each in inputs if each not in given]
        meant = near(port, free)
        advice = did_you_mean(port, free, otherwise="not connected are") if free else "all of its inputs are connected."
        yield Finding(
            check="unknown-step-input",
            severity=Severity.WARNING if meant is None else Severity.ERROR,
            message=f"step {name!r}: nobody reads its input {port!r}: what it runs has none of this name; {advice}",
            place=place_of(step.tool["in"], number),
        )


def _read_by(step: WorkflowStep) -> set[str] | None:
    """Return the inputs that a step's own expressions read by name; None where they may read any."""
    texts = [use.text for use in uses_of_step(step.tool)]
    named = {name for text in texts for name in read_inputs(text)}
    counted = sum(text.count("inputs") for text in texts)
    if counted > sum(len(read_inputs(text)) for text in texts):
        return None
    loop = {shortname(entry["id"]) for entry in step.tool.get("loop") or ()}
    return named | loop


def _without_value(step: WorkflowStep) -> Iterator[Finding]:
    """Yield inputs that are named in ``in`` but get nothing there, although they need a value."""
    declared = {shortname(entry["id"]): entry for entry in step.embedded_tool.tool["inputs"]}
    for number, entry in enumerate(step.tool["in"]):
        port = shortname(entry["id"])
        wanted = declared.get(port)
        if wanted is None or any(entry.get(field) is not None for field in ("source", "default", "valueFrom")):
            continue
        kind = wanted.get("type")
        if "default" not in wanted and "null" not in aslist(kind) and kind != "Any":
            yield Finding(
                check="no-value",
                severity=Severity.ERROR,
                message=f"step {shortname(step.id)!r} gives no value to the required input {port!r} of what it runs.",
                fix=f"Write `{port}: SOURCE`, or give it a default or valueFrom.",
                place=place_of(step.tool["in"], number),
            )


def _unread(workflow: Workflow) -> Iterator[Finding]:
    """Yield inputs of a workflow that no link reads."""
    read = _sources(workflow)
    for number, entry in enumerate(workflow.tool["inputs"]):
        if entry["id"] not in read:
            yield Finding(
                check="unused-input",
                severity=Severity.WARNING,
                message=f"no step and no output reads the input {shortname(entry['id'])!r}.",
                fix="Link it, or remove it.",
                place=place_of(workflow.tool["inputs"], number),
            )


def _unread_steps(workflow: Workflow) -> Iterator[Finding]:
    """Yield steps that give outputs of which no link reads any."""
    read = _sources(workflow)
    for number, step in enumerate(workflow.tool["steps"]):  # cwltool shuffles `workflow.steps`
        given = [entry if isinstance(entry, str) else entry["id"] for entry in step["out"]]
        if given and read.isdisjoint(given):
            yield Finding(
                check="unread-step",
                severity=Severity.WARNING,
                message=f"no step and no output reads what the step {shortname(step['id'])!r} gives.",
                fix="Link it to an output of the workflow, or remove the step; it runs all the same.",
                place=place_of(workflow.tool["steps"], number),
            )


def _outputs_without_source(workflow: Workflow) -> Iterator[Finding]:
    """Yield outputs of a workflow that no step reaches, so that they are always null."""
    for number, entry in enumerate(workflow.tool["outputs"]):
        if aslist(entry.get("outputSource") or []):
            continue
        may_be_null = "null" in aslist(entry["type"]) or entry["type"] == "Any"
        yield Finding(
            check="output-without-source",
            severity=Severity.WARNING if may_be_null else Severity.ERROR,
            message=f"the output {shortname(entry['id'])!r} has no outputSource, so that it is always null.",
            fix="Write `outputSource: STEP/OUTPUT`, or remove it.",
            place=place_of(workflow.tool["outputs"], number),
        )


def _sources(workflow: Workflow) -> set[str]:
    """Return everything that a link of a workflow reads."""
    sinks = [(entry, "source") for step in workflow.steps for entry in step.tool["in"]]
    sinks += [(entry, "outputSource") for entry in workflow.tool["outputs"]]
    return {name for entry, field in sinks for name in aslist(entry.get(field) or [])}
