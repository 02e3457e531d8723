"""What happened as entities of a crate: the run, each call, and the engine that steered them."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from cwl_prefect.model.names import without_indices
from cwl_prefect.model.plan import ToolPlan, WorkflowPlan
from cwl_prefect.model.values import CwlObject, is_nothing_but_files
from cwl_prefect.reports.crate.data import Data
from cwl_prefect.reports.crate.entities import Entities, moment, quoted
from cwl_prefect.reports.crate.history import CACHED, Call, History
from cwl_prefect.reports.crate.workflow import Structure
from cwl_prefect.reports.record import CallTry, Record

RUN = "#run"
_STATUS = {
    "succeeded": "http://schema.org/CompletedActionStatus",
    "cached": "http://schema.org/CompletedActionStatus",
    "running": "http://schema.org/ActiveActionStatus",
}
_FAILED = "http://schema.org/FailedActionStatus"
_USAGE = {
    "cpu_s": "s",
    "peak_memory_mib": "MiB",
    "read_bytes": "B",
    "written_bytes": "B",
    "cores": None,
    "ram_mib": "MiB",
}
_IMAGE = "https://w3id.org/ro/terms/workflow-run#DockerImage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the entities of actions are made of, and where they are added."""

    entities: Entities
    data: Data
    structure: Structure
    agent: str | None  # identifier of who ran it


def called(history: History, structure: Structure) -> frozenset[str]:
    """Return the digests of all processes that were called."""
    found = {structure.plan.digest}
    for call in (*history.calls, *history.subworkflows.values()):
        path = without_indices(call.tried.step)
        while path in structure.places:
            found.add(structure.places[path].step.run.digest)
            path = _parent(path, structure)
    return frozenset(found)


def tell(told: Told, history: History) -> None:
    """Add the run, its calls, and what steered them."""
    record = history.record
    run = told.entities.add(
        RUN,
        "CreateAction",
        name=f"Run of {told.structure.plan.label or told.structure.plan.name}: {record.started.get('name')}",
        startTime=moment(record.began_at),
        endTime=moment(record.ended_at),
        actionStatus={"@id": _STATUS.get(record.state, _FAILED)},
        error=None if record.message is None else without_home(record.message),
        identifier=f"urn:uuid:{record.started.get('run')}",
    )
    told.entities.link(run, "instrument", told.structure.process(told.structure.plan))
    if told.agent is not None:
        told.entities.link(run, "agent", told.agent)
    _add_values(told, run, told.structure.plan, Call(tried=_nothing(), inputs=history.inputs, outputs=history.outputs))
    for call in _with_enclosing(history, told.structure):
        _add_call(told, call)
    controls = told.entities.of_kind("ControlAction")
    if controls:
        _add_engine(told, record, controls)


def _add_engine(told: Told, record: Record, controls: list[str]) -> None:
    versions = record.started.get("versions")
    version = versions.get("cwl-prefect") if isinstance(versions, dict) else None
    engine = told.entities.add(
        "#cwl-prefect", "SoftwareApplication", name=f"cwl-prefect {version}", version=version, softwareVersion=version
    )
    organized = told.entities.add(
        "#engine-run",
        "OrganizeAction",
        name=f"Run of cwl-prefect {version}",
        startTime=moment(record.began_at),
        endTime=moment(record.ended_at),
    )
    told.entities.link(organized, "instrument", engine)
    told.entities.link(organized, "result", RUN)
    if told.agent is not None:
        told.entities.link(organized, "agent", told.agent)
    for control in controls:
        told.entities.link(organized, "object", control)


def _with_enclosing(history: History, structure: Structure) -> list[Call]:
    """Return all calls, and each call of a subworkflow that they belong to, also where its end is not known."""
    found = dict(history.subworkflows)
    waiting = [call.tried.step for call in (*history.calls, *found.values())]
    while waiting:
        step = waiting.pop()
        name = _enclosing(step, structure)
        if name and name not in found:
            inner = CallTry(step=_step_of(name), call=name, state="running", at=0)
            found[name] = Call(tried=inner, inputs={}, outputs={})
            waiting.append(inner.step)
    return [*found.values(), *history.calls]


def _add_call(told: Told, call: Call) -> None:
    tried, entities = call.tried, told.entities
    place = told.structure.places.get(without_indices(tried.step))
    if place is None:
        return
    name, number = f"#call/{quoted(tried.call)}", 1
    while f"{name}/{number}" in entities:
        number += 1
    cached = tried.state == CACHED
    action = entities.add(
        f"{name}/{number}",
        "CreateAction",
        name=f"Call of {tried.call}" + (f", try {tried.number}" if (tried.number or 1) > 1 else ""),
        description="Taken from an identical call that ran before." if cached else None,
        startTime=moment(tried.started_at),
        endTime=moment(tried.ended_at or tried.at or None) if tried.state != "running" else None,
        actionStatus={"@id": _STATUS.get(tried.state, _FAILED)},
        error=None if tried.message is None else without_home(tried.message),
    )
    entities.link(action, "instrument", told.structure.process(place.step.run))
    control = entities.add(f"#control/{quoted(tried.call)}", "ControlAction", name=f"Orchestration of {tried.call}")
    entities.link(control, "instrument", place.identifier)
    entities.link(control, "object", action)
    _add_values(told, action, place.step.run, call)
    _add_usage(entities, action, tried)
    if tried.image is not None:
        _add_image(entities, action, tried.image, tried.image_digest)


def _add_values(told: Told, action: str, process: WorkflowPlan | ToolPlan, call: Call) -> None:
    given: tuple[tuple[str, str, CwlObject], ...] = (("in", "object", call.inputs), ("out", "result", call.outputs))
    ports = {"in": {port.id for port in process.inputs}, "out": {port.id for port in process.outputs}}
    for direction, relation, values in given:
        for port, value in values.items():
            if port in ports[direction] and value is not None:
                parameter = told.structure.parameter(process, direction, port)
                for part in _parts(told, f"#value/{quoted(action)}/{direction}/{quoted(port)}", port, value):
                    told.entities.link(action, relation, part)
                    told.entities.link(part, "exampleOfWork", parameter)
                    told.entities.link(parameter, "workExample", part)


def _parts(told: Told, identifier: str, port: str, value: JsonValue) -> list[str]:
    """Return the entities of a value: its files, and the value itself where it is more than files."""
    files = told.data.references(value)
    if files and is_nothing_but_files(value):
        return files
    return [*files, told.entities.add(identifier, "PropertyValue", name=port, value=told.data.text(value))]


def _add_usage(entities: Entities, action: str, tried: CallTry) -> None:
    for name, unit in _USAGE.items():
        value = getattr(tried, name)
        if value is not None:
            used = entities.add(
                f"#usage/{quoted(action)}/{name}",
                "PropertyValue",
                name=name,
                propertyID=name,
                value=value,
                unitText=unit,
            )
            entities.link(action, "resourceUsage", used)


def _add_image(entities: Entities, action: str, image: str, digest: str | None) -> None:
    rest, _, pinned = image.partition("@")
    first, slash, path = rest.partition("/")
    registry, path = (first, path) if slash and (set(first) & set(".:") or first == "localhost") else (None, rest)
    name, _, tag = path.partition(":")
    sha256 = (digest or pinned).rpartition("sha256:")[2] or None
    identifier = f"#image/{quoted(image)}" + (f"/{sha256}" if sha256 else "")
    entities.add(
        identifier,
        "ContainerImage",
        additionalType={"@id": _IMAGE},
        registry=registry or "docker.io",
        name=name,
        tag=tag or None,
        sha256=sha256,
    )
    entities.link(action, "containerImage", identifier)


def without_home(text: str) -> str:
    """Return a message without the place of the user's home directory."""
    return text.replace(str(Path.home()), "~")


def _parent(path: str, structure: Structure) -> str:
    """Return the path of the step of the subworkflow that a step is in; empty for one of the outermost workflow."""
    place = structure.places[path]
    return path.removesuffix(place.step.id).removesuffix(".")


def _enclosing(step: str, structure: Structure) -> str:
    """Return the call of a subworkflow that a step is in, as ``prepare[2]`` of ``prepare[2].align``."""
    place = structure.places.get(without_indices(step))
    return "" if place is None else step.removesuffix(place.step.id).removesuffix(".")


def _step_of(call: str) -> str:
    """Return the step of a call, as ``prepare[2].align`` of ``prepare[2].align[3]``."""
    return call.rpartition("[")[0] if call.endswith("]") else call


def _nothing() -> CallTry:
    return CallTry(step="", call="", state="succeeded", at=0)
