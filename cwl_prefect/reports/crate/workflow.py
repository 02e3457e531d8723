"""What was run as entities of a crate: the workflow, its tools and steps, and their parameters."""

from collections.abc import Mapping, Set
from dataclasses import dataclass

from pydantic import JsonValue

from cwl_prefect.model.plan import InputPort, Link, OutputPort, Source, StepPlan, ToolPlan, WorkflowPlan
from cwl_prefect.reports.crate.entities import Entities, quoted
from cwl_prefect.reports.crate.packed import MAIN, names_of, parameters, processes

WORKFLOW_FILE = "packed.cwl"
_LANGUAGE = "https://w3id.org/workflowhub/workflow-ro-crate#cwl"
_PARAMETER_PROFILE = "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"
_TYPES = {
    "File": "File",
    "Directory": "Dataset",
    "string": "Text",
    "int": "Integer",
    "long": "Integer",
    "float": "Float",
    "double": "Float",
    "boolean": "Boolean",
    "record": "PropertyValue",
    "enum": "Text",
    "Any": "DataType",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A step, and where it is described."""

    step: StepPlan
    identifier: str


class Structure:
    """The identifiers of the processes and steps of a plan."""

    def __init__(self, plan: WorkflowPlan) -> None:
        self._names = names_of(plan)
        self.plan = plan
        self.places = dict(self._places(plan, ""))
        """Steps by path, as ``prepare.align``."""

    def process(self, process: WorkflowPlan | ToolPlan) -> str:
        """Return the identifier of a process."""
        name = self._names[process.digest]
        return WORKFLOW_FILE if name == MAIN else f"{WORKFLOW_FILE}#{quoted(name)}"

    def parameter(self, process: WorkflowPlan | ToolPlan, direction: str, port: str) -> str:
        """Return the identifier of a parameter."""
        return f"{WORKFLOW_FILE}#{quoted(self._names[process.digest])}/{direction}/{quoted(port)}"

    def step(self, workflow: WorkflowPlan, step: StepPlan) -> str:
        """Return the identifier of a step."""
        return f"{WORKFLOW_FILE}#{quoted(self._names[workflow.digest])}/{quoted(step.id)}"

    def _places(self, workflow: WorkflowPlan, prefix: str) -> Mapping[str, Place]:
        found: dict[str, Place] = {}
        for step in workflow.steps:
            found[f"{prefix}{step.id}"] = Place(step=step, identifier=self.step(workflow, step))
            if isinstance(step.run, WorkflowPlan):
                found |= self._places(step.run, f"{prefix}{step.id}.")
        return found


def describe(entities: Entities, structure: Structure, ran: Set[str]) -> None:
    """Add the workflow with all that it consists of.

    Args:
        entities: Where they are added.
        structure: Their identifiers.
        ran: Digests of the processes that were called; others are no tools of the workflow to the profile, which asks
            for an action of each.
    """
    entities.add(
        _LANGUAGE,
        "ComputerLanguage",
        name="Common Workflow Language",
        alternateName="CWL",
        identifier={"@id": "https://w3id.org/cwl/v1.2/"},
        url={"@id": "https://www.commonwl.org/"},
    )
    for process in {found.digest: found for found in processes(structure.plan)}.values():
        if isinstance(process, WorkflowPlan):
            _add_workflow(entities, structure, process, ran)
        else:
            label = process.document.get("label") or process.name
            entities.add(structure.process(process), "SoftwareApplication", name=label, **_doc(process.document))
        _add_parameters(entities, structure, process)


def is_workflow(process: WorkflowPlan | ToolPlan, ran: Set[str]) -> bool:
    """Check whether a process is a workflow that called anything."""
    return isinstance(process, WorkflowPlan) and any(step.run.digest in ran for step in process.steps)


def _add_workflow(entities: Entities, structure: Structure, workflow: WorkflowPlan, ran: Set[str]) -> None:
    identifier, outermost = structure.process(workflow), workflow.digest == structure.plan.digest
    whole = outermost or (workflow.digest in ran and is_workflow(workflow, ran))
    kinds = (["File"] if outermost else []) + ["SoftwareSourceCode"]
    entities.add(
        identifier,
        [*kinds, "ComputationalWorkflow", "HowTo"] if whole else kinds,
        name=workflow.label or workflow.name,
        description=workflow.doc,
        programmingLanguage={"@id": _LANGUAGE},
    )
    if not whole:
        return
    for position, step in enumerate(workflow.steps):
        called = structure.process(step.run)
        if step.run.digest in ran:
            entities.link(identifier, "hasPart", called)
        described = entities.add(
            structure.step(workflow, step),
            "HowToStep",
            name=step.label or step.id,
            description=step.doc,
            position=str(position),
        )
        entities.link(identifier, "step", described)
        entities.link(described, "workExample", called)
        for link in step.links:
            target = structure.parameter(step.run, "in", link.port)
            if any(port.id == link.port for port in step.run.inputs):
                _connect(entities, structure, workflow, link, described, target)
    for port in workflow.outputs:
        if port.link is not None:
            target = structure.parameter(workflow, "out", port.id)
            _connect(entities, structure, workflow, port.link, identifier, target)


def _connect(
    entities: Entities, structure: Structure, workflow: WorkflowPlan, link: Link, owner: str, target: str
) -> None:
    for source in link.sources:
        origin = _origin(structure, workflow, source)
        if origin is not None:
            connection = entities.add(f"#connection/{quoted(origin)}/{quoted(target)}", "ParameterConnection")
            entities.link(connection, "sourceParameter", origin)
            entities.link(connection, "targetParameter", target)
            entities.link(owner, "connection", connection)


def _origin(structure: Structure, workflow: WorkflowPlan, source: Source) -> str | None:
    if source.step is None:
        return structure.parameter(workflow, "in", source.port)
    step = next((step for step in workflow.steps if step.id == source.step), None)
    known = step is not None and any(port.id == source.port for port in step.run.outputs)
    return structure.parameter(step.run, "out", source.port) if step is not None and known else None


def _add_parameters(entities: Entities, structure: Structure, process: WorkflowPlan | ToolPlan) -> None:
    for direction, port in parameters(process):
        identifier = entities.add(
            structure.parameter(process, direction, port.id),
            "FormalParameter",
            name=port.id,
            description=port.doc or port.label,
            conformsTo={"@id": _PARAMETER_PROFILE},
            **_typed(port),
        )
        entities.link(structure.process(process), "input" if direction == "in" else "output", identifier)


def _typed(port: InputPort | OutputPort) -> dict[str, JsonValue]:
    options = port.type if isinstance(port.type, list) else [port.type]
    kinds = dict.fromkeys(_kind(option) for option in options if option != "null")
    found: dict[str, JsonValue] = {"additionalType": list(kinds) if len(kinds) > 1 else next(iter(kinds), "DataType")}
    if any(isinstance(option, dict) and option.get("type") == "array" for option in options):
        found["multipleValues"] = "True"
    if isinstance(port, InputPort):
        found["valueRequired"] = str(port.required)
        if isinstance(port.default, str | int | float):
            found["defaultValue"] = str(port.default)
        if port.format:
            found["encodingFormat"] = list(port.format)
    return found


def _kind(option: JsonValue) -> str:
    if isinstance(option, dict):
        return _kind(option.get("items") if option.get("type") == "array" else option.get("type"))
    return _TYPES.get(option, "DataType") if isinstance(option, str) else "DataType"


def _doc(document: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    doc = document.get("doc")
    return {"description": "\n".join(map(str, doc)) if isinstance(doc, list) else doc}
