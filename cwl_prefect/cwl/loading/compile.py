"""Turn a loaded process into a plan: links with their sources, effective requirements, steps in topological order."""

import hashlib
import json
import logging
import re
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cwltool.process import Process, shortname
from cwltool.update import ORIGINAL_CWLVERSION
from cwltool.workflow import Workflow, WorkflowStep
from pydantic import JsonValue
from schema_salad.utils import aslist

from cwl_prefect.cwl.loading.documents import as_written, bare_inputs, canonical_process, process_class, short_type
from cwl_prefect.cwl.loading.places import places_of, places_of_step, wrong_at
from cwl_prefect.cwl.loading.reading import named_files
from cwl_prefect.cwl.loading.undeclared import undeclared_features
from cwl_prefect.cwl.values.plain import plain
from cwl_prefect.errors import DocumentError
from cwl_prefect.model.plan import (
    InputPort,
    Link,
    LinkMerge,
    Loop,
    LoopOutput,
    OutputPort,
    PickValue,
    Places,
    Scatter,
    ScatterMethod,
    Source,
    StepId,
    StepPlan,
    ToolPlan,
    WorkflowPlan,
    named_types,
    requirement,
)
from cwl_prefect.model.values import unusable

_logger = logging.getLogger(__name__)

FORMAT_RELATIONS = (
    "http://www.w3.org/2000/01/rdf-schema#subClassOf",
    "http://www.w3.org/2002/07/owl#equivalentClass",
)

_RANDOM_NAME = re.compile(r"(?:_:)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # of a process without an id


def compile_process(process: Process, *, origin: str) -> WorkflowPlan:
    """Compile a loaded process; a tool alone becomes a workflow of one step.

    Features that it uses without requiring them are told by a warning.

    Raises:
        DocumentError: A source does not exist, or steps wait for each other.
    """
    for told in undeclared_features(process):
        _logger.warning("%s: %s", told.place, told.message)
    return plan_of(process, origin=origin)


def plan_of(process: Process, *, origin: str) -> WorkflowPlan:
    """Compile a loaded process, and say nothing of it.

    Raises:
        DocumentError: A source does not exist, or steps wait for each other.
    """
    plan = _workflow(process) if isinstance(process, Workflow) else _single_step(process)
    places = {"": places_of(process.tool, process.requirements, origin), **_places(process, plan, "", origin)}
    named = named_files(process, getattr(getattr(process.doc_loader, "fetcher", None), "reading", None))
    told = replace(plan, ontology=_ontology(process), namespaces=_namespaces(process), origin=origin, places=places)
    return _with_digest(replace(told, named_files=named))


def _places(process: Process, plan: WorkflowPlan, path: str, origin: str) -> dict[str, Places]:
    """Return where the tools and steps of a process stand."""
    if not isinstance(process, Workflow):
        return {step.run.digest: places_of(process.tool, process.requirements, origin) for step in plan.steps}
    found: dict[str, Places] = {}
    loaded = {shortname(step.id): step for step in process.steps}
    for step in plan.steps:
        source, name = loaded[step.id], f"{path}{step.id}"
        found[name] = places_of_step(source.tool, origin)
        if isinstance(step.run, WorkflowPlan):
            inner = source.embedded_tool
            found[f"{name}."] = places_of(inner.tool, inner.requirements, origin)
            found |= _places(inner, step.run, f"{name}.", origin)
        elif step.run.digest not in found:
            found[step.run.digest] = places_of(source.embedded_tool.tool, source.embedded_tool.requirements, origin)
    return found


def _workflow(workflow: Workflow) -> WorkflowPlan:
    by_id = {step.id: step for step in workflow.steps}
    in_document_order = [by_id[step["id"]] for step in workflow.tool["steps"]]
    sources = _sources(workflow, in_document_order)
    steps = [_step(workflow, step, sources) for step in in_document_order]
    return WorkflowPlan(
        digest="",
        name=_name(workflow),
        label=_text(workflow.tool.get("label")),
        doc=_text(workflow.tool.get("doc")),
        cwl_version=_version(workflow),
        document=bare_inputs(workflow.tool),
        requirements=_plain_list(workflow.requirements),
        hints=_plain_list(workflow.hints),
        inputs=_inputs(workflow),
        steps=_in_topological_order(steps),
        outputs=tuple(
            replace(port, link=_link(output, sources, field="outputSource"))
            for port, output in zip(_outputs(workflow), workflow.tool["outputs"], strict=True)
        ),
    )


def _single_step(process: Process) -> WorkflowPlan:
    tool = _tool(process)
    step_id = StepId(tool.name)
    step = StepPlan(
        id=step_id,
        run=tool,
        links=tuple(Link(port=port.id, sources=(Source(step=None, port=port.id),)) for port in tool.inputs),
        outputs=tuple(port.id for port in tool.outputs),
        label=_text(process.tool.get("label")),
        doc=_text(process.tool.get("doc")),
    )
    return WorkflowPlan(
        digest="",
        name=tool.name,
        label=step.label,
        doc=step.doc,
        cwl_version=tool.cwl_version,
        document=bare_inputs(process.tool, bindings=False),
        requirements=_of_inputs(tool.requirements),
        hints=_of_inputs(tool.hints),
        inputs=tool.inputs,
        steps=(step,),
        outputs=tuple(
            replace(port, link=Link(port=port.id, sources=(Source(step=step_id, port=port.id),)))
            for port in tool.outputs
        ),
    )


def _of_inputs(requirements: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Leave out what would be done a second time when the tool itself is called: a listing would grow by a level."""
    return tuple(entry for entry in requirements if entry["class"] != "LoadListingRequirement")


def _tool(process: Process) -> ToolPlan:
    document = canonical_process(process.tool)
    requirements, hints = _plain_list(process.requirements), _plain_list(process.hints)
    version = _version(process)
    docker = requirement(requirements, hints, "DockerRequirement")
    return ToolPlan(
        digest=_digest([document, requirements, hints, version]),
        name=_name(process),
        process_class=process_class(process.tool),
        document=document,
        requirements=requirements,
        hints=hints,
        cwl_version=version,
        inputs=_inputs(process),
        outputs=_outputs(process),
        image=_image_name(docker),
    )


def _step(workflow: Workflow, step: WorkflowStep, sources: Mapping[str, Source]) -> StepPlan:
    embedded = step.embedded_tool
    run = _with_digest(_workflow(embedded)) if isinstance(embedded, Workflow) else _tool(embedded)
    links = tuple(_link(entry, sources, field="source") for entry in step.tool["in"])
    is_loop = bool(step.tool.get("loop"))
    return StepPlan(
        id=StepId(shortname(step.id)),
        run=run,
        links=links,
        outputs=tuple(shortname(out["id"] if isinstance(out, Mapping) else out) for out in step.tool["out"]),
        label=_text(step.tool.get("label")),
        doc=_text(step.tool.get("doc")),
        when=None if is_loop else step.tool.get("when"),
        scatter=_scatter(step),
        loop=_loop(step) if is_loop else None,
        requirements=_expression_requirements(workflow, step),
        hints=(),
    )


def _expression_requirements(workflow: Workflow, step: WorkflowStep) -> tuple[dict[str, Any], ...]:
    """Requirements that the step's own expressions see: the workflow's, then the step's."""
    kept = ("InlineJavascriptRequirement", "SchemaDefRequirement")
    return _plain_list(
        entry for entry in [*workflow.requirements, *step.tool.get("requirements", [])] if entry["class"] in kept
    )


def _scatter(step: WorkflowStep) -> Scatter | None:
    if "scatter" not in step.tool:
        return None
    return Scatter(
        ports=tuple(shortname(port) for port in aslist(step.tool["scatter"])),
        method=ScatterMethod(step.tool.get("scatterMethod") or ScatterMethod.DOTPRODUCT),
    )


def _loop(step: WorkflowStep) -> Loop:
    own = {entry["id"]: Source(step=StepId("self"), port=shortname(entry["id"])) for entry in step.tool["outputs"]}
    return Loop(
        when=step.tool["when"],
        links=tuple(_link(entry, own, field="outputSource") for entry in step.tool["loop"]),
        output=LoopOutput(step.tool.get("outputMethod") or LoopOutput.LAST_ITERATION),
    )


def _link(
    entry: Mapping[str, Any],
    sources: Mapping[str, Source],
    *,
    field: str,
) -> Link:
    declared = entry.get(field)
    names = [] if declared is None else aslist(declared)
    port = shortname(entry["id"])
    unknown = [name for name in names if name not in sources]
    if unknown:
        raise wrong_at(
            entry,
            field,
            f"{port} names the source {shortname(unknown[0])!r}, which does not exist.",
            hint="A source is an input of the workflow, or step/output with the output listed in the step's out.",
        )
    merge, pick = entry.get("linkMerge"), entry.get("pickValue")
    return Link(
        port=port,
        sources=tuple(sources[name] for name in names),
        link_merge=None if merge is None else LinkMerge(merge),
        pick_value=None if pick is None else PickValue(pick),
        value_from=entry.get("valueFrom"),
        default=_default(entry),
        load_contents=bool(entry.get("loadContents")),
        load_listing=entry.get("loadListing"),
        single=len(names) <= 1,
    )


def _sources(workflow: Workflow, steps: Iterable[WorkflowStep]) -> dict[str, Source]:
    inputs = {entry["id"]: Source(step=None, port=shortname(entry["id"])) for entry in workflow.tool["inputs"]}
    outputs = {
        entry["id"]: Source(step=StepId(shortname(step.id)), port=shortname(entry["id"]))
        for step in steps
        for entry in step.tool["outputs"]
    }
    return inputs | outputs


def _in_topological_order(steps: Sequence[StepPlan]) -> tuple[StepPlan, ...]:
    """Sort steps so that each comes after its sources, keeping the document's order among equals."""
    waiting = {step.id: step for step in steps}
    needs = {step.id: {s.step for link in step.links for s in link.sources if s.step is not None} for step in steps}
    dependents: dict[StepId, list[StepId]] = {step.id: [] for step in steps}
    for step_id, sources in needs.items():
        for source in sources:
            dependents[source].append(step_id)
    position = {step.id: number for number, step in enumerate(steps)}
    ready = [step.id for step in steps if not needs[step.id]]
    ordered: list[StepPlan] = []
    while ready:
        following: list[StepId] = []
        for step_id in ready:
            ordered.append(waiting.pop(step_id))
            for dependent in dependents[step_id]:
                needs[dependent].discard(step_id)
                if not needs[dependent]:
                    following.append(dependent)
        ready = sorted(following, key=position.__getitem__)
    if waiting:
        raise DocumentError(f"These steps wait for each other in a cycle: {', '.join(waiting)}.")
    return tuple(ordered)


def _inputs(process: Process) -> tuple[InputPort, ...]:
    named = _named_types(process)
    return tuple(
        InputPort(
            id=shortname(entry["id"]),
            type=short_type(entry["type"], named),
            label=_text(entry.get("label")),
            doc=_text(entry.get("doc")),
            default=_default(entry),
            format=tuple(str(name) for name in aslist(entry.get("format") or [])),
        )
        for entry in as_written(process.tool["inputs"])
    )


def _default(entry: Mapping[str, Any]) -> JsonValue:
    found: JsonValue = plain(entry.get("default"))
    if (reason := unusable(found, files=False)) is not None:
        text = f"the default of {shortname(entry['id'])} cannot be used: {reason}."
        raise wrong_at(entry, "default", text, hint="Write values that JSON has.")
    return found


def _outputs(process: Process) -> tuple[OutputPort, ...]:
    named = _named_types(process)
    return tuple(
        OutputPort(
            id=shortname(entry["id"]),
            type=short_type(entry["type"], named),
            label=_text(entry.get("label")),
            doc=_text(entry.get("doc")),
        )
        for entry in process.tool["outputs"]
    )


def _named_types(process: Process) -> dict[str, Any]:
    entries: list[Any] = [*process.hints, *process.requirements]
    return named_types(entries)


def _image_name(docker: Mapping[str, Any] | None) -> str | None:
    if docker is None:
        return None
    for key in ("dockerPull", "dockerImageId", "dockerImport", "dockerLoad"):
        if docker.get(key):
            return str(docker[key])
    return "dockerFile" if docker.get("dockerFile") else None


def _namespaces(process: Process) -> tuple[tuple[str, str], ...]:
    declared = process.metadata.get("$namespaces")
    found = declared if isinstance(declared, Mapping) else {}
    return tuple(sorted((str(prefix), str(uri)) for prefix, uri in found.items()))


def _ontology(process: Process) -> tuple[tuple[str, str, str], ...]:
    graph = process.formatgraph
    if graph is None:
        return ()
    triples = (
        (str(subject), str(relation), str(object_))
        for subject, relation, object_ in graph
        if str(relation) in FORMAT_RELATIONS and "w3id.org/cwl" not in str(subject)
    )
    return tuple(sorted(triples))


def _name(process: Process) -> str:
    """Return what its author calls a process; what is only the main one of a document has the document's name."""
    unquoted = urllib.parse.unquote(shortname(str(process.tool["id"]).removesuffix("#main")))
    name = "".join(character if character.isprintable() else "_" for character in unquoted)
    stem = name.removesuffix(".cwl").removesuffix(".json").removesuffix(".yml").removesuffix(".yaml")
    return process.tool["class"] if not stem or _RANDOM_NAME.fullmatch(name) else stem


def _version(process: Process) -> str:
    return str(process.metadata.get(ORIGINAL_CWLVERSION) or process.metadata.get("cwlVersion"))


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return "\n".join(value) if isinstance(value, list) else str(value)


def _plain_list(entries: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    return tuple(canonical_process(entry) for entry in entries)


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _with_digest(plan: WorkflowPlan) -> WorkflowPlan:
    from cwl_prefect.model.plan import encode_plan

    content = encode_plan(replace(plan, digest="", origin=None, named_files=(), places={}))
    return replace(plan, digest=hashlib.sha256(content).hexdigest())
