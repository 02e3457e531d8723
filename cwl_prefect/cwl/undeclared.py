"""Features that a workflow uses without requiring them: they are taken as required, which is told once for each."""

from collections.abc import Iterator

from cwltool.process import Process, shortname
from cwltool.workflow import Workflow
from schema_salad.utils import aslist

from cwl_prefect.cwl.places import placed

SEVERAL_SOURCES = "MultipleInputFeatureRequirement"
VALUE_FROM = "StepInputExpressionRequirement"


def undeclared_features(process: Process) -> tuple[str, ...]:
    """Tell of each feature that a workflow, or one that it runs, uses without requiring it, with its first place.

    The specification wants several sources and ``valueFrom`` of a step's input to be required (CWL Workflow,
    §WorkflowStepInput), but what they do is the same without, and many workflows that run elsewhere leave it out.
    """
    return tuple(dict.fromkeys(_all(process)))


def _all(process: Process) -> Iterator[str]:
    if not isinstance(process, Workflow):
        return
    for feature, found in ((SEVERAL_SOURCES, _several_sources(process)), (VALUE_FROM, _values_from(process))):
        first = None if process.get_requirement(feature)[0] is not None else next(found, None)
        if first is not None:
            yield f"{first}, but the workflow does not require {feature}; it runs as if it did."
    for step in process.steps:
        yield from _all(step.embedded_tool)


def _several_sources(workflow: Workflow) -> Iterator[str]:
    sinks = [(output, "outputSource") for output in workflow.tool["outputs"]]
    for step in workflow.tool["steps"]:
        sinks.extend((entry, "source") for entry in step["in"])
    for entry, field in sinks:
        if len(aslist(entry.get(field) or [])) > 1:
            yield placed(entry, field, f"{shortname(entry['id'])} has several sources")


def _values_from(workflow: Workflow) -> Iterator[str]:
    for step in workflow.tool["steps"]:
        for entry in step["in"]:
            if entry.get("valueFrom") is not None:
                yield placed(entry, "valueFrom", f"{shortname(entry['id'])} has a valueFrom")
