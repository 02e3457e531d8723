"""The values that a step will be called with, as far as they are known before a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import cast

from cwl_prefect._lib.suggestions import did_you_mean
from cwl_prefect.cwl.binding.evaluate import holds, step_values
from cwl_prefect.cwl.binding.inputs import prepare_inputs
from cwl_prefect.cwl.javascript.unknown import Unknown, UnknownValueError
from cwl_prefect.engine.workflow.cwl_types import describe_type, parse_type
from cwl_prefect.engine.workflow.links import merge
from cwl_prefect.engine.workflow.overrides import tool_steps
from cwl_prefect.engine.workflow.scatter import expand
from cwl_prefect.environment import stage_variables
from cwl_prefect.errors import UsageError
from cwl_prefect.flows.execution.attempt import Call
from cwl_prefect.flows.execution.evaluated import only_declared
from cwl_prefect.flows.explain.placeholders import placeholders
from cwl_prefect.model.names import call_name
from cwl_prefect.model.plan import Link, Source, StepId, StepPlan, ToolPlan, WorkflowPlan
from cwl_prefect.model.values import CwlObject, as_object


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """Values of ports; ``unknown`` holds why those of the others are not known before a run."""

    known: CwlObject
    unknown: Mapping[str, str] = field(default_factory=dict)

    def seen(self) -> CwlObject:
        """Return what expressions see: to read what is not known raises UnknownValueError."""
        return cast("CwlObject", {**self.known, **{port: Unknown(port) for port in self.unknown}})

    def with_defaults(self, plan: WorkflowPlan) -> "Values":
        """Return these values with the defaults of a workflow's inputs that have none."""
        defaults = {port.id: port.default for port in plan.inputs if port.id not in self.unknown}
        return replace(self, known={**defaults, **{key: item for key, item in self.known.items() if item is not None}})

    def with_known(self, values: CwlObject) -> "Values":
        """Return these values with some that are known now."""
        unknown = {port: why for port, why in self.unknown.items() if port not in values}
        return Values(known={**self.known, **values}, unknown=unknown)

    def with_unknown(self, port: str, why: str) -> "Values":
        """Return these values with one that is not known."""
        known = {key: value for key, value in self.known.items() if key != port}
        return Values(known=known, unknown={**self.unknown, port: why})


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """The first call of a step as it will be.

    Attributes:
        call: The call, with placeholders for what is not known.
        unknown: Inputs that are not known before a run: their types, and why.
        notes: What else there is to say.
    """

    call: Call
    unknown: Mapping[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """Walks down a plan to one step without running anything.

    Args:
        directory: Gets files that stand for unknown ones.
        ontology: Format hierarchy of the outermost plan.
        notes: Gets what there is to say.
    """

    directory: Path
    ontology: tuple[tuple[str, str, str], ...] = ()
    notes: list[str] = field(default_factory=list)

    def step(self, plan: WorkflowPlan, values: CwlObject, path: str) -> Foreseen:
        """Return the first call of a step.

        Args:
            plan: The outermost plan.
            values: Its prepared inputs.
            path: The step, as ``prepare.align``.

        Raises:
            UsageError: There is no such step, or it runs no tool.
        """
        names = [name for name, _ in tool_steps(plan)]
        if path not in names:
            hint = did_you_mean(path, names, otherwise="there are:")
            raise UsageError(f"The workflow has no step {path} that runs a tool.", hint=hint)
        return self._within(plan, Values(known=values), path, "")

    def _within(self, plan: WorkflowPlan, values: Values, path: str, prefix: str) -> Foreseen:
        step = next(each for each in plan.steps if path == each.id or _leads_to(each, path))
        name = f"{prefix}{step.id}"
        found, index = self._first(step, linked(step.links, values), name)
        found = self.evaluated(step, found, name)
        self._note_when(step, found, name)
        if isinstance(step.run, WorkflowPlan):
            inner = call_name(name, index)
            inside = self.prepared(step.run, found, inner)
            return self._within(step.run, inside, path.removeprefix(f"{step.id}."), f"{inner}.")
        return self.called(step.run, found, name, index)

    def called(self, tool: ToolPlan, values: Values, name: str, index: tuple[int, ...]) -> Foreseen:
        """Return the call of a tool, with placeholders for what is not known."""
        standing = placeholders(tool, values.unknown, name, self.directory)
        inputs = as_object(only_declared(tool, {**values.known, **standing}))
        types = {port.id: describe_type(parse_type(port.type)) for port in tool.inputs}
        unknown = {port: f"{types[port]}, {why}" for port, why in values.unknown.items() if port in inputs}
        call = Call(tool=tool, values=inputs, step=name, index=index)
        return Foreseen(call=call, unknown=unknown, notes=tuple(self.notes))

    def _first(self, step: StepPlan, values: Values, name: str) -> tuple[Values, tuple[int, ...]]:
        """Return the values of the first call of a step that may be scattered or called in a loop."""
        if step.loop is not None:
            self.notes.append(f"{name} is called in a loop; this is its first call.")
        if step.scatter is None:
            return values, ()
        ports = step.scatter.ports
        hidden = [port for port in ports if port in values.unknown]
        arrays = {port: values.known.get(port) for port in ports if port not in hidden}
        if hidden:
            self.notes.append(f"{name} is scattered over {', '.join(hidden)}, of which the number is not known.")
            arrays = {port: value[:1] if isinstance(value, list) else value for port, value in arrays.items()}
        elements = expand(step.scatter, {**values.known, **arrays, **{port: [None] for port in hidden}}).elements
        if not elements:
            self.notes.append(f"{name} is scattered over nothing: it will never be called.")
            for port in ports:
                values = values.with_unknown(port, "an element of an empty list")
            return values, (0,)
        if not hidden:
            self.notes.append(f"{name} is called {len(elements)} times; this is the first call.")
        first = {port: value for port, value in as_object(elements[0].values).items() if port not in values.unknown}
        return values.with_known(first), elements[0].index

    def evaluated(self, step: StepPlan, values: Values, name: str) -> Values:
        """Return the values after loadContents, loadListing and valueFrom, each of which sees those before."""
        evaluate = partial(step_values, requirements=step.requirements, name=name)
        loading = [replace(link, value_from=None) for link in step.links if link.port not in values.unknown]
        found = loaded = values.with_known(evaluate(loading, values.known))
        if step.stage:
            found = found.with_known({**stage_variables(port.id for port in step.run.inputs)})
        for link in step.links:
            if link.value_from is None:
                continue
            try:
                given = evaluate([link], loaded.seen())
            except UnknownValueError as error:
                read = "its source" if error.port == link.port else error.port
                why = f"its valueFrom reads {read} ({values.unknown[error.port]})"
                found = found.with_unknown(link.port, why)
            else:
                found = found.with_known({link.port: given[link.port]})
        return found

    def _note_when(self, step: StepPlan, values: Values, name: str) -> None:
        condition = step.when if step.loop is None else step.loop.when
        if condition is None:
            return
        holding = self.holds(step, values, name)
        if holding is None:
            self.notes.append(f"whether {name} runs is not known before the run: when is {condition}")
        elif not holding:
            self.notes.append(f"{name} will be skipped with these inputs: when is {condition}")

    def holds(self, step: StepPlan, values: Values, name: str) -> bool | None:
        """Check whether a step runs by its condition; None: that is not known before the run."""
        condition = step.when if step.loop is None else step.loop.when
        if condition is None:
            return True
        try:
            return holds(condition, values.seen(), requirements=step.requirements, name=name)
        except UnknownValueError:
            return None

    def prepared(self, plan: WorkflowPlan, values: Values, name: str) -> Values:
        """Return the inputs of a subworkflow, checked where all are known."""
        given = values.with_defaults(plan)
        if given.unknown:
            return given
        return Values(known=prepare_inputs(plan, given.known, ontology=self.ontology, outermost=False, name=name))


def linked(links: Sequence[Link], values: Values, outputs: Mapping[StepId, Values] = MappingProxyType({})) -> Values:
    """Return the values at the sources of ports.

    Args:
        links: Of the ports.
        values: Inputs of the workflow.
        outputs: What is known of the outputs of steps; of others nothing is.
    """
    found = Values(known={})
    for link in links:
        why = next((why for why in (_unknown(source, values, outputs) for source in link.sources) if why), None)
        if why is None:
            at = [
                (values if source.step is None else outputs[source.step]).known.get(source.port)
                for source in link.sources
            ]
            found = found.with_known({link.port: merge(link, at)})
        else:
            found = found.with_unknown(link.port, why)
    return found


def _unknown(source: Source, values: Values, outputs: Mapping[StepId, Values]) -> str | None:
    """Return why the value of a source is not known, or None where it is."""
    if source.step is None:
        return values.unknown.get(source.port)
    if source.step in outputs:
        return outputs[source.step].unknown.get(source.port)
    return f"an output of the step {source.step}: {source.port}"


def _leads_to(step: StepPlan, path: str) -> bool:
    return isinstance(step.run, WorkflowPlan) and path.startswith(f"{step.id}.")
