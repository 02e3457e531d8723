"""A part of a workflow as a workflow of its own: what some targets need, or a single step."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue

from cwl_prefect._lib.suggestions import did_you_mean
from cwl_prefect.errors import UsageError
from cwl_prefect.model.names import short_name
from cwl_prefect.model.plan import InputPort, Link, OutputPort, Places, Source, StepId, StepPlan, ToolPlan, WorkflowPlan

_ANYTHING: list[JsonValue] = ["null", "Any"]


def with_targets(plan: WorkflowPlan, targets: Sequence[str]) -> WorkflowPlan:
    """Return the part of a workflow that its targets need, with the inputs of that part.

    Its outputs are the outputs among the targets, and what the steps among them give: under the names of the workflow's
    outputs where these come from such a step alone, else as ``step_port``.

    Args:
        plan: The workflow.
        targets: Names of its outputs and steps.

    Raises:
        UsageError: It has no such output or step.
    """
    outputs, steps = {port.id: port for port in plan.outputs}, {str(step.id): step for step in plan.steps}
    for target in targets:
        if target not in outputs and target not in steps:
            raise _unknown("--target", f"{plan.name} has no output or step {target}", target, [*outputs, *steps])
    chosen = [steps[name] for name in targets if name in steps and name not in outputs]
    given = {name: outputs[name] for name in targets if name in outputs}
    for step in chosen:
        given |= {port.id: port for port in _outputs_of(step, plan)}
    needed = _needed(plan, {step.id for step in chosen} | _steps_of(port.link for port in given.values()))
    kept = tuple(step for step in plan.steps if step.id in needed)
    links = [*(link for step in kept for link in step.links), *(port.link for port in given.values() if port.link)]
    used = {source.port for link in links for source in link.sources if source.step is None}
    return _part(
        replace(
            plan,
            inputs=tuple(port for port in plan.inputs if port.id in used),
            document=declaring(
                plan, [entry for entry in declared_inputs(plan) if short_name(str(entry.get("id"))) in used]
            ),
            steps=kept,
            outputs=tuple(given.values()),
        ),
        "target",
        *targets,
    )


def with_single_step(plan: WorkflowPlan, path: str) -> WorkflowPlan:
    """Return a workflow of one step, with its scatter, condition and expressions; its inputs are those of the step.

    Args:
        plan: The workflow.
        path: The step, as ``prepare.align``.

    Raises:
        UsageError: It has no such step.
    """
    within, step = _found(plan, path)
    declared = [_Declared.of(step, link) for link in step.links]
    return _part(
        replace(
            plan,
            name=f"{plan.name}-{path}",
            label=step.label,
            doc=step.doc,
            requirements=(*within.requirements, *(own for own in step.run.requirements if own["class"] in _OF_INPUTS)),
            hints=within.hints,
            inputs=tuple(each.port for each in declared),
            document=declaring(plan, [each.entry for each in declared]),
            steps=(replace(step, links=tuple(_own(link) for link in step.links)),),
            outputs=tuple(_output(step, port, port) for port in step.outputs),
            places=_places(plan, path, str(step.id)),
        ),
        "single step",
        path,
    )


_OF_INPUTS = ("SchemaDefRequirement", "InlineJavascriptRequirement")
_OF_FILES = ("secondaryFiles", "format", "streamable")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Declared:
    """An input of a step as an input of a workflow: for people, and for whatever checks its values."""

    port: InputPort
    entry: dict[str, JsonValue]

    @classmethod
    def of(cls, step: StepPlan, link: Link) -> "_Declared":
        """Declare what a link of a step takes: what its tool does, as far as nothing changes it on the way."""
        port = next((port for port in step.run.inputs if port.id == link.port), None)
        own = next(
            (entry for entry in declared_inputs(step.run) if short_name(str(entry.get("id"))) == link.port), None
        )
        if port is None or own is None or link.value_from is not None:
            port, own = InputPort(id=link.port, type=_ANYTHING), {"type": _ANYTHING}
        shown, raw = port.type, own.get("type")
        if step.scatter is not None and link.port in step.scatter.ports:
            shown, raw = {"type": "array", "items": shown}, {"type": "array", "items": raw}
        if link.default is not None or not port.required:
            shown, raw = _optional(shown), _optional(raw)
        files = {name: own[name] for name in _OF_FILES if name in own}
        return cls(
            port=InputPort(id=link.port, type=shown, label=port.label, doc=port.doc, format=port.format),
            entry={**files, "id": f"#{link.port}", "type": raw},
        )


def _optional(declared: JsonValue) -> JsonValue:
    options: list[JsonValue] = declared if isinstance(declared, list) else [declared]
    return options if "null" in options else ["null", *options]


def _found(plan: WorkflowPlan, path: str) -> tuple[WorkflowPlan, StepPlan]:
    """Return a step, and the workflow that it is a step of.

    Raises:
        UsageError: There is none.
    """
    steps = dict(_steps(plan))
    if path not in steps:
        raise _unknown("--single-step", f"{plan.name} has no step {path}", path, list(steps))
    return steps[path]


def _steps(plan: WorkflowPlan, prefix: str = "") -> Iterator[tuple[str, tuple[WorkflowPlan, StepPlan]]]:
    for step in plan.steps:
        yield f"{prefix}{step.id}", (plan, step)
        if isinstance(step.run, WorkflowPlan):
            yield from _steps(step.run, f"{prefix}{step.id}.")


def _unknown(option: str, what: str, name: str, known: Sequence[str]) -> UsageError:
    return UsageError(f"{option}: {what}.", hint=did_you_mean(name, known, otherwise="there are:"))


def _outputs_of(step: StepPlan, plan: WorkflowPlan) -> Iterator[OutputPort]:
    """Yield what a step gives: outputs of the workflow that are its own, and its ports that none of these has."""
    own = [port for port in plan.outputs if _steps_of([port.link]) == {step.id} and not _taken_from_inputs(port)]
    yield from own
    covered = {source.port for port in own if port.link for source in port.link.sources}
    yield from (_output(step, f"{step.id}_{port}", port) for port in step.outputs if port not in covered)


def _taken_from_inputs(port: OutputPort) -> bool:
    return port.link is not None and any(source.step is None for source in port.link.sources)


def _output(step: StepPlan, name: str, port: str) -> OutputPort:
    return OutputPort(id=name, type="Any", link=Link(port=name, sources=(Source(step=step.id, port=port),)))


def _steps_of(links: Iterable[Link | None]) -> set[StepId]:
    sources = (source for link in links if link is not None for source in link.sources)
    return {source.step for source in sources if source.step is not None}


def _needed(plan: WorkflowPlan, wanted: set[StepId]) -> set[StepId]:
    """Return some steps with all that they need; a plan's steps stand in topological order."""
    needed = set(wanted)
    for step in reversed(plan.steps):
        if step.id in needed:
            needed |= _steps_of(step.links)
    return needed


def _own(link: Link) -> Link:
    """Let a link of a step take the value of the input that is named after its port, as it is after any merging."""
    source = Source(step=None, port=link.port)
    return replace(link, sources=(source,), link_merge=None, pick_value=None, single=True)


def declared_inputs(plan: WorkflowPlan | ToolPlan) -> list[dict[str, JsonValue]]:
    """Return the inputs of a process as its document declares them."""
    found = plan.document.get("inputs")
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def declaring(plan: WorkflowPlan, entries: Iterable[dict[str, JsonValue]]) -> dict[str, JsonValue]:
    """Return the declarations of a workflow with these inputs."""
    return {**plan.document, "inputs": [*entries]}


def _places(plan: WorkflowPlan, path: str, step: str) -> dict[str, Places]:
    """Return where parts stand, with the names that a step and what it runs have when it is alone."""
    moved = {f"{step}{name[len(path) :]}": found for name, found in plan.places.items() if _is_of(name, path)}
    return {**{name: found for name, found in plan.places.items() if name}, **moved}


def _is_of(name: str, path: str) -> bool:
    return name == path or name.startswith(f"{path}.")


def _part(plan: WorkflowPlan, *chosen: str) -> WorkflowPlan:
    digest = hashlib.sha256(json.dumps([plan.digest, *chosen]).encode()).hexdigest()
    return replace(plan, digest=digest, as_written=False)
