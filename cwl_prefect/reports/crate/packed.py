"""What a run ran as one CWL document, written from its plan; so it is known also where its sources changed since."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from pydantic import JsonValue

from cwl_prefect.model.names import short_name
from cwl_prefect.model.plan import InputPort, Link, OutputPort, StepPlan, ToolPlan, WorkflowPlan
from cwl_prefect.model.values import CwlObject, map_file_objects

MAIN = "main"
"""Name of the outermost workflow within the document."""

_OTHER = re.compile(r"[^\w.-]+", re.ASCII)


def names_of(plan: WorkflowPlan) -> Mapping[str, str]:
    """Return the name of each process within the document, by digest."""
    names: dict[str, str] = {}
    for process in processes(plan):
        if process.digest not in names:
            names[process.digest] = _free(_OTHER.sub("_", process.name) or "process", names) if names else MAIN
    return names


def processes(plan: WorkflowPlan) -> Iterator[WorkflowPlan | ToolPlan]:
    """Yield a workflow and all processes within, as often as they are used."""
    yield plan
    for step in plan.steps:
        if isinstance(step.run, WorkflowPlan):
            yield from processes(step.run)
        else:
            yield step.run


def packed(plan: WorkflowPlan, locate: Callable[[CwlObject], CwlObject]) -> CwlObject:
    """Return the document.

    Args:
        plan: What was run.
        locate: Return a File or Directory that the document names, as it is to be named there.
    """
    names = names_of(plan)
    every = {process.digest: process for process in processes(plan)}
    graph: list[JsonValue] = [_process(process, names) for process in every.values()]
    loops = any(step.loop for found in every.values() if isinstance(found, WorkflowPlan) for step in found.steps)
    prefixes: CwlObject = {"$namespaces": dict(plan.namespaces)} if plan.namespaces else {}
    document = {"cwlVersion": "v1.3.0-dev1" if loops else "v1.2", **prefixes, "$graph": graph}
    located = map_file_objects(document, locate)
    assert isinstance(located, dict)  # noqa: S101 - what a mapping is mapped to
    return located


def _process(process: WorkflowPlan | ToolPlan, names: Mapping[str, str]) -> CwlObject:
    shared = _known(
        id=names[process.digest],
        requirements=_last_of_each(process.requirements),
        hints=_last_of_each(process.hints),
    )
    document = _short(process.document)
    assert isinstance(document, dict)  # noqa: S101 - as above
    if isinstance(process, ToolPlan):
        return {**document, **shared}
    return {
        **shared,
        **_known(label=process.label, doc=process.doc),
        "class": "Workflow",
        "inputs": document["inputs"],
        "outputs": [_output(port) for port in process.outputs],
        "steps": [_step(step, names) for step in process.steps],
    }


def _step(step: StepPlan, names: Mapping[str, str]) -> CwlObject:
    scatter, loop = step.scatter, step.loop
    return {
        "id": step.id,
        "run": f"#{names[step.run.digest]}",
        "in": [{"id": link.port, **_link(link, "source")} for link in step.links],
        "out": list(step.outputs),
        **_known(
            label=step.label,
            doc=step.doc,
            when=step.when if loop is None else loop.when,
            scatter=None if scatter is None else list(scatter.ports),
            scatterMethod=None if scatter is None else scatter.method.value,
            loop=None
            if loop is None
            else [{"id": link.port, **_link(link, "outputSource", in_loop=True)} for link in loop.links],
            outputMethod=None if loop is None else loop.output.value,
            requirements=_last_of_each(step.requirements),
            hints=_last_of_each(step.hints),
        ),
    }


def _link(link: Link, field: str, *, in_loop: bool = False) -> CwlObject:
    """Return a link; in a loop it comes from the step itself."""
    sources: list[JsonValue] = [
        source.port if source.step is None or in_loop else f"{source.step}/{source.port}" for source in link.sources
    ]
    return _known(
        **{field: sources[0] if link.single and len(sources) == 1 else sources or None},
        linkMerge=None if link.link_merge is None else link.link_merge.value,
        pickValue=None if link.pick_value is None else link.pick_value.value,
        valueFrom=link.value_from,
        default=link.default,
        loadContents=link.load_contents or None,
        loadListing=link.load_listing,
    )


def _output(port: OutputPort) -> CwlObject:
    sources = {} if port.link is None else _link(port.link, "outputSource")
    return {"id": port.id, "type": port.type, **_known(label=port.label, doc=port.doc), **sources}


def parameters(process: WorkflowPlan | ToolPlan) -> Iterator[tuple[str, InputPort | OutputPort]]:
    """Yield the parameters of a process with ``in`` or ``out``."""
    yield from (("in", port) for port in process.inputs)
    yield from (("out", port) for port in process.outputs)


def _last_of_each(entries: Sequence[Mapping[str, JsonValue]]) -> JsonValue:
    """Return the requirements that hold: of each class the last (CWL Workflow, §Requirements and hints)."""
    last = {str(entry["class"]): _short(dict(entry)) for entry in entries}
    return list(last.values()) or None


def _short(value: JsonValue) -> JsonValue:
    """Return a part of a document whose ``id`` are without the name of the document that they were read from."""
    if isinstance(value, list):
        return [_short(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: short_name(item) if name == "id" and isinstance(item, str) else _short(item)
        for name, item in value.items()
    }


def _free(name: str, taken: Mapping[str, str]) -> str:
    found, number = name, 1
    while found in taken.values():
        number += 1
        found = f"{name}_{number}"
    return found


def _known(**members: JsonValue) -> CwlObject:
    return {name: value for name, value in members.items() if value is not None}
