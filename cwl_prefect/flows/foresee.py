"""What a step will be called with, as far as it can be told before a run; placeholders stand for the rest."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import assert_never

from cwl_prefect.cwl.evaluate import holds, step_values
from cwl_prefect.cwl.inputs import prepare_inputs
from cwl_prefect.engine.cwl_types import (
    ArrayType,
    CwlType,
    EnumType,
    Primitive,
    RecordType,
    UnionType,
    parse_type,
    without_null,
)
from cwl_prefect.engine.links import merge
from cwl_prefect.engine.overrides import tool_steps
from cwl_prefect.engine.scatter import expand
from cwl_prefect.errors import CwlPrefectError, UsageError
from cwl_prefect.flows.step import only_declared
from cwl_prefect.model.names import call_name
from cwl_prefect.model.plan import InputPort, Link, StepPlan, ToolPlan, WorkflowPlan
from cwl_prefect.model.values import CwlObject, CwlValue, as_object

_SCALARS: Mapping[str, CwlValue] = {
    "null": None,
    "boolean": False,
    "int": 0,
    "long": 0,
    "float": 0.0,
    "double": 0.0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """One call of a step as it will be.

    Attributes:
        tool: What is called.
        step: Path of the step, with the indexes of subworkflows around it.
        index: Place in its own scatter.
        values: Its inputs.
        unknown: What is not known before a run, by input: in words.
        notes: What else there is to say.
    """

    tool: ToolPlan
    step: str
    index: tuple[int, ...]
    values: CwlObject
    unknown: Mapping[str, str]
    notes: tuple[str, ...]


@dataclass(kw_only=True)
class Foresight:
    """Walks down a plan to one step without running anything.

    Args:
        directory: An empty directory, for files that stand for unknown ones.
        ontology: Format hierarchy of the outermost plan.
        timeout_s: Time limit of one expression.
    """

    directory: Path
    ontology: tuple[tuple[str, str, str], ...] = ()
    timeout_s: float = 20.0
    _notes: list[str] = field(default_factory=list)

    def step(self, plan: WorkflowPlan, values: CwlObject, path: str) -> Foreseen:
        """Give the first call of a step.

        Args:
            plan: The outermost plan.
            values: Its prepared inputs.
            path: The step, as ``prepare.align``.

        Raises:
            UsageError: There is no such step, or it runs no tool.
        """
        names = [name for name, _ in tool_steps(plan)]
        if path not in names:
            hint = f"there are: {', '.join(names)}."
            raise UsageError(f"The workflow has no step {path} that runs a tool.", hint=hint)
        return self._within(plan, values, {}, path, "")

    def _within(
        self, plan: WorkflowPlan, values: CwlObject, unknown: Mapping[str, str], path: str, prefix: str
    ) -> Foreseen:
        step = next(each for each in plan.steps if path == each.id or _leads_to(each, path))
        name = f"{prefix}{step.id}"
        found, missing = self._linked(plan, step, values, unknown, name)
        index: tuple[int, ...] = ()
        if step.scatter is not None:
            found, missing, index = self._first_of(step, found, missing, name)
        if step.loop is not None:
            self._notes.append(f"{name} is called in a loop; this is its first call.")
        found, missing = self._evaluated(step, found, missing, name)
        self._check_when(step, found, missing, name)
        if isinstance(step.run, ToolPlan):
            inputs = as_object(only_declared(step.run, found))
            known = {port: text for port, text in missing.items() if port in inputs}
            return Foreseen(
                tool=step.run, step=name, index=index, values=inputs, unknown=known, notes=tuple(self._notes)
            )
        inner = call_name(name, index)
        return self._within(
            step.run, self._prepared(step.run, found, inner), missing, path.removeprefix(f"{step.id}."), f"{inner}."
        )

    def _linked(
        self, plan: WorkflowPlan, step: StepPlan, values: CwlObject, unknown: Mapping[str, str], name: str
    ) -> tuple[CwlObject, dict[str, str]]:
        found: CwlObject = {}
        missing: dict[str, str] = {}
        for link in step.links:
            reason = _unknown_source(link, unknown)
            if reason is None:
                found[link.port] = merge(link, [values.get(source.port) for source in link.sources])
                continue
            missing[link.port] = reason
            value = self._placeholder(_port(plan, step, link), f"{name}-{link.port}")
            found[link.port] = [value] if step.scatter is not None and link.port in step.scatter.ports else value
        return found, missing

    def _first_of(
        self, step: StepPlan, values: CwlObject, missing: dict[str, str], name: str
    ) -> tuple[CwlObject, dict[str, str], tuple[int, ...]]:
        assert step.scatter is not None  # noqa: S101
        open_ports = [port for port in step.scatter.ports if port in missing]
        if open_ports:
            self._notes.append(f"{name} is scattered over {', '.join(open_ports)}, of which the number is not known.")
            given = {port: values[port] for port in step.scatter.ports}
            values = {**values, **{port: value[:1] for port, value in given.items() if isinstance(value, list)}}
        elements = expand(step.scatter, values).elements
        if not elements:
            self._notes.append(
                f"{name} is scattered over nothing: it will never be called. Placeholders stand for elements."
            )
            ports = {port.id: port for port in step.run.inputs}
            for port in step.scatter.ports:
                missing[port] = "an element of an empty list"
                values = {**values, port: [self._placeholder(ports.get(port), f"{name}-{port}")]}
            elements = expand(step.scatter, values).elements
        elif not open_ports:
            self._notes.append(f"{name} is called {len(elements)} times; this is the first call.")
        return as_object(elements[0].values), missing, elements[0].index

    def _evaluated(
        self, step: StepPlan, values: CwlObject, missing: dict[str, str], name: str
    ) -> tuple[CwlObject, dict[str, str]]:
        found, now_missing = dict(values), dict(missing)
        ports = {port.id: port for port in step.run.inputs}
        for link in step.links:
            if link.value_from is None and not link.load_contents:
                continue
            uses = _used(link, missing)
            try:
                found[link.port] = step_values([link], values, requirements=step.requirements, name=name)[link.port]
            except CwlPrefectError as error:
                if not uses:
                    raise
                found[link.port] = self._placeholder(ports.get(link.port), f"{name}-{link.port}")
                uses = {f"{port}, without which it fails ({error.message.splitlines()[0]})" for port in uses}
            if uses:
                now_missing[link.port] = f"its valueFrom uses {', '.join(sorted(uses))}"
            else:
                now_missing.pop(link.port, None)
        return found, now_missing

    def _check_when(self, step: StepPlan, values: CwlObject, missing: Mapping[str, str], name: str) -> None:
        condition = step.when if step.loop is None else step.loop.when
        if condition is None:
            return
        if any(port in condition for port in missing):
            self._notes.append(f"whether {name} runs is not known before the run: when is {condition}")
        elif not holds(condition, values, requirements=step.requirements, name=name):
            self._notes.append(f"{name} will be skipped with these inputs: when is {condition}")

    def _prepared(self, plan: WorkflowPlan, values: CwlObject, name: str) -> CwlObject:
        try:
            return prepare_inputs(
                plan, values, ontology=self.ontology, outermost=False, timeout_s=self.timeout_s, name=name
            )
        except CwlPrefectError as error:
            self._notes.append(f"inputs of {name} cannot be checked with placeholders: {error.message.splitlines()[0]}")
            return {**{port.id: port.default for port in plan.inputs}, **values}

    def _placeholder(self, port: InputPort | None, name: str) -> CwlValue:
        if port is None:
            return f"UNKNOWN-{name}"
        value = self._example(parse_type(port.type), name)
        if isinstance(value, dict) and port.format and value.get("class") == "File":
            value["format"] = port.format[0]
        return value

    def _example(self, cwl_type: CwlType, name: str) -> CwlValue:
        match cwl_type:
            case Primitive(name="File" | "Directory" as kind):
                return self._file(kind, name)
            case Primitive(name=scalar):
                return _SCALARS.get(scalar, f"UNKNOWN-{name}")
            case EnumType(symbols=symbols):
                return symbols[0] if symbols else ""
            case ArrayType(items=items):
                return [self._example(items, name)]
            case RecordType(fields=members):
                return {member.name: self._example(member.type, f"{name}-{member.name}") for member in members}
            case UnionType(members=members):
                present = without_null(cwl_type)
                return self._example(present.members[0] if isinstance(present, UnionType) else present, name)
            case _:
                assert_never(cwl_type)

    def _file(self, kind: str, name: str) -> CwlValue:
        place = self.directory / ("UNKNOWN-" + re.sub(r"[^A-Za-z0-9_-]+", "-", name))
        if kind == "Directory":
            place.mkdir(exist_ok=True)
        else:
            place.touch()
        return {"class": kind, "location": place.as_uri(), "basename": place.name}


def with_placeholders_beside(foreseen: Foreseen, directory: Path) -> Foreseen:
    """Put secondaryFiles beside the placeholders of files, as far as their patterns are no expressions."""
    patterns = {
        str(entry.get("id", "")).rpartition("#")[2].rpartition("/")[2]: entry.get("secondaryFiles")
        for entry in foreseen.tool.document.get("inputs") or []  # type: ignore[union-attr]
        if isinstance(entry, dict)
    }
    values = dict(foreseen.values)
    for port, listed in patterns.items():
        value = values.get(port)
        if port not in foreseen.unknown or not isinstance(value, dict) or value.get("class") != "File":
            continue
        entries = listed if isinstance(listed, list) else [listed] if listed else []
        texts = [str(each.get("pattern")) if isinstance(each, dict) else str(each) for each in entries]
        beside = [_beside(str(value["basename"]), text.rstrip("?")) for text in texts if "$" not in text]
        for name in beside:
            (directory / name).touch()
        secondary: list[CwlValue] = [
            {"class": "File", "location": (directory / name).as_uri(), "basename": name} for name in beside
        ]
        values[port] = {**value, **({"secondaryFiles": secondary} if secondary else {})}
    return replace(foreseen, values=values)


def _beside(basename: str, pattern: str) -> str:
    """Give the name of a secondary file (CWL CommandLineTool, §SecondaryFileSchema)."""
    while pattern.startswith("^"):
        basename, pattern = basename.rpartition(".")[0] or basename, pattern[1:]
    return basename + pattern


def _leads_to(step: StepPlan, path: str) -> bool:
    return isinstance(step.run, WorkflowPlan) and path.startswith(f"{step.id}.")


def _unknown_source(link: Link, unknown: Mapping[str, str]) -> str | None:
    for source in link.sources:
        if source.step is not None:
            return f"an output of the step {source.step}: {source.port}"
        if source.port in unknown:
            return unknown[source.port]
    return None


def _port(plan: WorkflowPlan, step: StepPlan, link: Link) -> InputPort | None:
    """Give the declaration of a step's port: the tool's, or else what its source declares."""
    for port in step.run.inputs:
        if port.id == link.port:
            return port
    source = link.sources[0]
    for other in plan.steps:
        if other.id == source.step:
            return next(
                (InputPort(id=port.id, type=port.type) for port in other.run.outputs if port.id == source.port), None
            )
    return next((port for port in plan.inputs if source.step is None and port.id == source.port), None)


def _used(link: Link, missing: Mapping[str, str]) -> set[str]:
    text = link.value_from or ""
    used = {port for port in missing if re.search(rf"\binputs\b.*\b{re.escape(port)}\b", text, re.DOTALL)}
    own = link.port in missing and (link.value_from is None or re.search(r"\bself\b", text))
    return used | ({link.port} if own else set())
