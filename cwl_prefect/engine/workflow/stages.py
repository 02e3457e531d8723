"""A workflow between tools of the user's own that bring its Directories from URLs and take them away again."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pydantic import JsonValue

from cwl_prefect.engine.workflow.part import declared_inputs, declaring
from cwl_prefect.environment import is_stage_variable, stage_variables
from cwl_prefect.errors import InputError, UsageError
from cwl_prefect.model.names import short_name
from cwl_prefect.model.plan import (
    InputPort,
    Link,
    OutputPort,
    Places,
    Scatter,
    ScatterMethod,
    Source,
    StepId,
    StepPlan,
    ToolPlan,
    WorkflowPlan,
)

_ARRAY = {"type": "array", "items": "Directory"}
_EXPRESSIONS: dict[str, JsonValue] = {"class": "InlineJavascriptRequirement"}
_NEVER_CACHED: dict[str, JsonValue] = {"class": "WorkReuse", "enableReuse": False}
_SECRETS = "http://commonwl.org/cwltool#Secrets"
_KEYS = ("KEY", "SECRET", "TOKEN", "PASSWORD")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """A tool that stages one Directory.

    Attributes:
        tool: The tool, which is never cached, and whose credentials are secret.
        takes: Its input that is staged.
        gives: Its output.
        further: Its inputs that a job order may give.
    """

    tool: ToolPlan
    takes: str
    gives: OutputPort
    further: tuple[InputPort, ...]

    @classmethod
    def of(cls, plan: WorkflowPlan, option: str, takes: str) -> "_Stage":
        """Return the stage of a tool.

        Args:
            plan: What was compiled from its document.
            option: What names it.
            takes: Type of its input.

        Raises:
            UsageError: It is no tool, or has not one such input and one output.
        """
        tool = plan.steps[0].run if len(plan.steps) == 1 else None
        if not isinstance(tool, ToolPlan):
            raise UsageError(f"{option}: {plan.name} is no CommandLineTool.", hint="Name the document of one tool.")
        fitting = [port for port in tool.inputs if _plain(port.type) == takes and not is_stage_variable(port.id)]
        named = [port for port in fitting if port.id in _USUAL] or [port for port in fitting if port.required]
        if len(named) != 1 or len(tool.outputs) != 1:
            raise UsageError(
                f"{option}: {plan.name} has {len(named)} inputs of type {takes} and {len(tool.outputs)} "
                "outputs, expected one of each.",
                hint=f"Give others a default, or call the right one one of {', '.join(_USUAL)}.",
            )
        further = (port for port in tool.inputs if port.id != named[0].id and not is_stage_variable(port.id))
        return cls(
            tool=_marked(tool),
            takes=named[0].id,
            gives=tool.outputs[0],
            further=tuple(p for p in further if p.required),
        )

    def step(self, name: str, source: Source, declared: JsonValue) -> StepPlan:
        """Return the step that stages what comes from a source, which may be an array or null."""
        scattered = isinstance(_plain(declared), dict)
        further = (Link(port=port.id, sources=(Source(step=None, port=port.id),)) for port in self.further)
        return StepPlan(
            id=StepId(name),
            run=self.tool,
            links=(Link(port=self.takes, sources=(source,)), *further),
            outputs=(self.gives.id,),
            when=f"$(inputs[{json.dumps(self.takes)}] !== null)" if _is_optional(declared) else None,
            scatter=Scatter(ports=(self.takes,), method=ScatterMethod.DOTPRODUCT) if scattered else None,
            requirements=(_EXPRESSIONS,),
            stage=True,
        )


_USUAL = ("input", "reference", "wf_outputs", "stac_catalog")


def with_stages(plan: WorkflowPlan, stage_in: WorkflowPlan | None, stage_out: WorkflowPlan | None) -> WorkflowPlan:
    """Return a workflow whose one step is another, with steps before it for Directories that it takes and after it.

    Inputs of type Directory, or arrays of it, become URLs that ``stage_in`` gets one by one; ``stage_out`` gets such
    outputs, and what it gives is the output instead. What else these tools require is an input of the whole.

    Args:
        plan: The workflow.
        stage_in: A tool that takes a string and gives a Directory.
        stage_out: A tool that takes a Directory.

    Raises:
        UsageError: One is no such tool, or an input has the name of one of its variables or inputs.
    """
    if (stage_in is None and stage_out is None) or any(step.stage for step in plan.steps):
        return plan
    before = None if stage_in is None else _Stage.of(stage_in, "--directory-stage-in", "string")
    after = None if stage_out is None else _Stage.of(stage_out, "--directory-stage-out", "Directory")
    _demand_free(plan, before, after)
    urls = {} if before is None else {port.id: port for port in plan.inputs if _is_directory(port.type)}
    leaving = {} if after is None else {port.id: port for port in plan.outputs if _is_directory(port.type)}
    main = _main(plan, before, urls)
    steps = [*_arriving(before, urls), main, *_leaving(after, leaving, main)]
    own = {port.id: port for stage in (before, after) if stage is not None for port in stage.further}
    stages = [each for each in (stage_in, stage_out) if each is not None]
    entries = [_entry(entry, urls) for entry in declared_inputs(plan)]
    return replace(
        plan,
        digest=hashlib.sha256(json.dumps([plan.digest, *(each.digest for each in stages)]).encode()).hexdigest(),
        document=declaring(plan, [*entries, *({"id": f"#{port.id}", "type": port.type} for port in own.values())]),
        inputs=(*(_url(port) if port.id in urls else port for port in plan.inputs), *own.values()),
        steps=tuple(steps),
        outputs=tuple(_output(port, main, after if port.id in leaving else None) for port in plan.outputs),
        named_files=(*plan.named_files, *(named for each in stages for named in each.named_files)),
        places=_places(plan, main, *stages),
        as_written=False,
    )


def demand_variables(plan: WorkflowPlan) -> None:
    """Check that variables give what tools that stage data require.

    Raises:
        InputError: One is not set.
    """
    for step in plan.steps:
        needed = [port.id for port in step.run.inputs if port.required and is_stage_variable(port.id)]
        missing = [name for name in needed if name not in stage_variables(needed)]
        if step.stage and missing:
            raise InputError(
                f"{step.id}: the variable {missing[0]} is not set.", hint="Set it where the run is started."
            )


def _main(plan: WorkflowPlan, before: _Stage | None, urls: Mapping[str, InputPort]) -> StepPlan:
    links = (Link(port=port.id, sources=(_source(port.id, before, urls),)) for port in plan.inputs)
    within = replace(plan, named_files=(), ontology=(), namespaces=(), places={}, origin=None)
    outputs = tuple(port.id for port in plan.outputs)
    return StepPlan(
        id=StepId(plan.name), run=within, links=tuple(links), outputs=outputs, label=plan.label, doc=plan.doc
    )


def _source(port: str, before: _Stage | None, urls: Mapping[str, InputPort]) -> Source:
    if before is None or port not in urls:
        return Source(step=None, port=port)
    return Source(step=StepId(f"stage_in_{port}"), port=before.gives.id)


def _arriving(before: _Stage | None, urls: Mapping[str, InputPort]) -> Iterator[StepPlan]:
    if before is None:
        return
    for port in urls.values():
        yield before.step(f"stage_in_{port.id}", Source(step=None, port=port.id), _url(port).type)


def _leaving(after: _Stage | None, leaving: Mapping[str, OutputPort], main: StepPlan) -> Iterator[StepPlan]:
    if after is None:
        return
    for port in leaving.values():
        yield after.step(f"stage_out_{port.id}", Source(step=main.id, port=port.id), port.type)


def _output(port: OutputPort, main: StepPlan, after: _Stage | None) -> OutputPort:
    if after is None:
        return replace(port, link=Link(port=port.id, sources=(Source(step=main.id, port=port.id),)))
    source = Source(step=StepId(f"stage_out_{port.id}"), port=after.gives.id)
    given = _replaced(port.type, after.gives.type)
    return replace(port, type=given, link=Link(port=port.id, sources=(source,)))


def _marked(tool: ToolPlan) -> ToolPlan:
    """Return a tool whose calls are not cached, since a URL does not tell what lies there, with its keys secret."""
    secret = [port.id for port in tool.inputs if is_stage_variable(port.id) and any(key in port.id for key in _KEYS)]
    hint: dict[str, JsonValue] = {"class": _SECRETS, "secrets": list(secret)}
    return replace(tool, requirements=(*tool.requirements, _NEVER_CACHED), hints=(*tool.hints, hint))


def _demand_free(plan: WorkflowPlan, *stages: _Stage | None) -> None:
    """Refuse a workflow that would be given what is for a stage."""
    further = {port.id for stage in stages if stage is not None for port in stage.further}
    for port in plan.inputs:
        if is_stage_variable(port.id) or port.id in further:
            raise UsageError(
                f"{plan.name} has an input {port.id}, and so have the tools that stage its data.",
                hint="Give it another name in the workflow or in the tools.",
            )


def _is_directory(declared: JsonValue) -> bool:
    return _plain(declared) in ("Directory", _ARRAY)


def _is_optional(declared: JsonValue) -> bool:
    return isinstance(declared, list) and "null" in declared


def _plain(declared: JsonValue) -> JsonValue:
    """Return a type without null."""
    others = [each for each in declared if each != "null"] if isinstance(declared, list) else [declared]
    return others[0] if len(others) == 1 else declared


def _replaced(declared: JsonValue, given: JsonValue) -> JsonValue:
    """Return the type of Directories with another type in their place."""
    if isinstance(declared, list):
        return [each if each == "null" else _replaced(each, given) for each in declared]
    return {"type": "array", "items": given} if declared == _ARRAY else given


def _url(port: InputPort) -> InputPort:
    declared = _replaced(port.type, "string")
    if port.default is not None and not _is_optional(declared):
        declared = ["null", declared]
    return replace(port, type=declared, default=None)


def _entry(entry: dict[str, JsonValue], urls: Mapping[str, InputPort]) -> dict[str, JsonValue]:
    port = urls.get(short_name(str(entry.get("id"))))
    return entry if port is None else {"id": entry["id"], "type": _url(port).type}


def _places(plan: WorkflowPlan, main: StepPlan, *stages: WorkflowPlan) -> dict[str, Places]:
    """Return where parts stand: those of the workflow as parts of its step."""
    steps = {str(step.id) for step in plan.steps}
    moved = {
        f"{main.id}.{name}" if not name or name.partition(".")[0] in steps else name: found
        for name, found in plan.places.items()
    }
    tools = {
        digest: {part: _whole(place, stage) for part, place in found.items()}
        for stage in stages
        for digest, found in stage.places.items()
        if digest
    }
    return {**tools, **moved, "": plan.places.get("", {})}


def _whole(place: str, stage: WorkflowPlan) -> str:
    if "://" in place:
        return place
    return os.path.abspath(os.path.join(os.path.dirname(stage.origin or ""), place))  # noqa: PTH100, PTH118, PTH120
