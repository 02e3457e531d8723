"""Features that a workflow uses without requiring them."""

from collections.abc import Iterator, Mapping
from typing import Any

from cwltool.process import Process, shortname
from cwltool.workflow import Workflow, WorkflowStep
from schema_salad.utils import aslist

from cwl_prefect.cwl.loading.places import place_of, wrong_at
from cwl_prefect.errors import DocumentError
from cwl_prefect.model.findings import Finding, Severity

SEVERAL_SOURCES = "MultipleInputFeatureRequirement"
VALUE_FROM = "StepInputExpressionRequirement"


def undeclared_features(process: Process) -> tuple[Finding, ...]:
    """Warn of each feature that a workflow, or one that it runs, uses without requiring it, at its first place.

    The specification wants several sources and ``valueFrom`` of a step's input to be required (CWL Workflow,
    §WorkflowStepInput), but what they do is the same without, and many workflows that run elsewhere leave it out.

    Raises:
        DocumentError: A loop, which no old workflow has, does so (CWL v1.3 draft, §LoopInput).
    """
    return tuple(dict.fromkeys(_all(process)))


def _all(process: Process) -> Iterator[Finding]:
    if not isinstance(process, Workflow):
        return
    for step in process.steps:
        _check_loop(step)
    for feature, found in ((SEVERAL_SOURCES, _several_sources(process)), (VALUE_FROM, _values_from(process))):
        first = None if process.get_requirement(feature)[0] is not None else next(found, None)
        if first is not None:
            entry, field, has = first
            yield Finding(
                check="undeclared-feature",
                severity=Severity.WARNING,
                message=f"{shortname(entry['id'])} has {has}, but the workflow does not require {feature};"
                " it runs as if it did.",
                fix=f"Add {feature} to the workflow's requirements.",
                place=place_of(entry, field),
            )
    for step in process.steps:
        yield from _all(step.embedded_tool)


def _several_sources(workflow: Workflow) -> Iterator[tuple[Mapping[str, Any], str, str]]:
    sinks = [(output, "outputSource") for output in workflow.tool["outputs"]]
    for step in workflow.tool["steps"]:
        sinks.extend((entry, "source") for entry in step["in"])
    for entry, field in sinks:
        if len(aslist(entry.get(field) or [])) > 1:
            yield entry, field, "several sources"


def _values_from(workflow: Workflow) -> Iterator[tuple[Mapping[str, Any], str, str]]:
    for step in workflow.tool["steps"]:
        for entry in step["in"]:
            if entry.get("valueFrom") is not None:
                yield entry, "valueFrom", "a valueFrom"


def _check_loop(step: WorkflowStep) -> None:
    for entry in step.tool.get("loop") or ():
        if len(aslist(entry.get("outputSource") or [])) > 1 and not step.get_requirement(SEVERAL_SOURCES)[0]:
            raise _not_required(
                entry, "outputSource", f"the loop gives {_name(entry)} several sources", SEVERAL_SOURCES
            )
        if entry.get("valueFrom") is not None and not step.get_requirement(VALUE_FROM)[0]:
            raise _not_required(entry, "valueFrom", f"the loop gives {_name(entry)} a valueFrom", VALUE_FROM)


def _name(entry: Mapping[str, Any]) -> str:
    return shortname(str(entry["id"]))


def _not_required(entry: Mapping[str, Any], field: str, what: str, feature: str) -> DocumentError:
    hint = f"Add {feature} to the requirements of the workflow."
    return wrong_at(entry, field, f"{what}, but {feature} is not required.", hint=hint)
