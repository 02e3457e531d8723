"""Check a document as far as can be without running it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cwltool.process import Process, shortname
from cwltool.update import ORIGINAL_CWLVERSION
from cwltool.workflow import Workflow, WorkflowStep
from schema_salad.utils import aslist

from cwl_prefect.cwl.checking.references import Sight, findings_of_use, library_syntax_error
from cwl_prefect.cwl.checking.steps import findings_of_steps
from cwl_prefect.cwl.checking.tools import findings_of_requirements, findings_of_tool, without_image
from cwl_prefect.cwl.javascript.expressions import script_of
from cwl_prefect.cwl.javascript.uses import Use, uses_of_requirements, uses_of_step, uses_of_tool
from cwl_prefect.cwl.loading.compile import plan_of
from cwl_prefect.cwl.loading.documents import canonical_process
from cwl_prefect.cwl.loading.load import load_processes, translated_errors
from cwl_prefect.cwl.loading.places import place_of
from cwl_prefect.cwl.loading.plans import read_plan
from cwl_prefect.cwl.loading.reading import NotFetchedError
from cwl_prefect.cwl.loading.undeclared import undeclared_features
from cwl_prefect.cwl.values.types import ANY, CwlType, Parameter, parameters
from cwl_prefect.errors import DocumentError, UnsupportedError
from cwl_prefect.model.findings import Finding, Severity, findings_of
from cwl_prefect.model.plan import WorkflowPlan, named_types

_JAVASCRIPT = "InlineJavascriptRequirement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What checking a document came to: the plans of its processes, as far as it has any, and what was found."""

    plans: tuple[WorkflowPlan, ...] = ()
    findings: tuple[Finding, ...] = ()


def check_document(document: str, *, images: bool = False) -> Checked:
    """Compile each process of a document, and look for what would fail in a run.

    Args:
        document: A local path, ``file://`` or ``http(s)://`` URL, with ``#id`` for a part of it; or a plan, which was
            checked when it was compiled.
        images: Whether each tool has to name an image.
    """
    try:
        compiled = read_plan(document)
        if compiled is not None:
            return Checked(plans=(compiled,))
        processes = load_processes(document)
        with translated_errors(document):
            plans = tuple(plan_of(process, origin=document) for process in processes)
            findings = [found for process in processes for found in _findings(process, images=images)]
    except UnsupportedError as error:
        return Checked(findings=findings_of(error, "unsupported-feature"))
    except NotFetchedError as error:
        found = (replace(each, severity=Severity.WARNING) for each in findings_of(error, "not-fetched"))
        return Checked(findings=tuple(found))
    except DocumentError as error:
        return Checked(findings=findings_of(error, "invalid-document"))
    return Checked(plans=plans, findings=tuple(sorted(dict.fromkeys(findings), key=_order)))


def _order(found: Finding) -> tuple[str, int, int]:
    """Return what findings are sorted by: their places."""
    place = found.place
    return ("", 0, 0) if place is None else (place.document, place.line, place.column)


def _findings(process: Process, *, images: bool) -> Iterator[Finding]:
    yield from undeclared_features(process)
    yield from _of_process(process)
    if images:
        yield from filter(None, map(without_image, _all(process)))


def _all(process: Process) -> Iterator[Process]:
    """Yield a process and all that it runs."""
    yield process
    for step in process.steps if isinstance(process, Workflow) else ():
        yield from _all(step.embedded_tool)


def _of_process(process: Process) -> Iterator[Finding]:
    ports = _ports(process)
    sight = _sight(process, ports)
    yield from findings_of_tool(process, ports)
    own = [*uses_of_tool(process.tool), *_uses_of_requirements(process.tool)]
    if isinstance(process, Workflow):
        yield from findings_of_steps(process)
        for step in process.steps:
            yield from _of_uses(list(uses_of_step(step.tool)), _sight_of_step(step, ports, process))
            yield from findings_of_requirements(step.tool)
            tool = step.embedded_tool
            yield from _of_uses(list(_uses_of_requirements(step.tool)), _sight(tool, _ports(tool)))
            yield from _of_process(tool)
    yield from _of_uses(own, sight)
    yield from _of_library(process)


def _uses_of_requirements(entry: Mapping[str, Any]) -> Iterator[Use]:
    for field in ("requirements", "hints"):
        yield from uses_of_requirements(entry.get(field))


def _of_uses(uses: list[Use], sight: Sight) -> Iterator[Finding]:
    for use in uses:
        if place_of(use.node, use.key) is not None:  # else cwltool wrote it, from what is checked by itself
            yield from findings_of_use(use, sight)


def _of_library(process: Process) -> Iterator[Finding]:
    for entry in process.tool.get("requirements") or ():
        library = entry.get("expressionLib") if entry["class"] == _JAVASCRIPT else None
        for number, text in enumerate(library or ()):
            if (wrong := library_syntax_error(str(text))) is not None:
                yield Finding(
                    check="expression-syntax",
                    severity=Severity.ERROR,
                    message=f"expressionLib[{number}]: {wrong}.",
                    fix="Correct the JavaScript.",
                    place=place_of(library, number),
                )


def _ports(process: Process) -> tuple[Parameter, ...]:
    """Return the inputs of a process in the order of its document."""
    known = [canonical_process(entry) for entry in (*process.hints, *process.requirements)]
    return parameters(canonical_process(process.tool)["inputs"], named_types(known))


def _sight(process: Process, ports: tuple[Parameter, ...]) -> Sight:
    """Return what the expressions of a process see; those of a workflow's requirements see the inputs of its tools."""
    is_workflow = isinstance(process, Workflow)
    return Sight(
        inputs=None if is_workflow else {port.name: port.type for port in ports},
        javascript=_may_be_javascript(process.requirements),
        old_escapes=_old_escapes(process),
        runtime=process.tool["class"] == "CommandLineTool",
        owner="the tool",
    )


def _sight_of_step(step: WorkflowStep, ports: tuple[Parameter, ...], workflow: Workflow) -> Sight:
    types: dict[str, CwlType] = {port.name: port.type for port in ports}
    scattered = aslist(step.tool.get("scatter") or [])
    inputs = {entry["id"]: ANY if entry["id"] in scattered else _linked(entry, types) for entry in step.tool["in"]}
    return Sight(
        inputs={shortname(port): declared for port, declared in inputs.items()},
        javascript=_may_be_javascript([*workflow.requirements, *step.tool.get("requirements", ())]),
        old_escapes=False,
        runtime=False,
        owner="the step",
    )


def _linked(entry: Mapping[str, Any], types: Mapping[str, CwlType]) -> CwlType:
    """Return the type of a step's input where it is an input of the workflow, handed on as it is."""
    source = entry.get("source")
    if not isinstance(source, str) or not set(entry) <= {"id", "source"}:
        return ANY
    return types.get(shortname(source), ANY)


def _may_be_javascript(requirements: Any) -> bool:
    return script_of(requirements).library is not None


def _old_escapes(process: Process) -> bool:
    version = str(process.metadata.get(ORIGINAL_CWLVERSION) or process.metadata.get("cwlVersion"))
    return script_of((), cwl_version=version).old_escapes
