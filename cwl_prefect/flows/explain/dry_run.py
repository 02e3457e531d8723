"""What a run would do: every call that is known before it, which of them are cached, and what the others ask for."""

import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from cwl_prefect.backends.base import Backend
from cwl_prefect.backends.job_template.job_variables import Layer, Origin
from cwl_prefect.cwl.binding.bind import docker_requirement
from cwl_prefect.engine.scheduling.scheduler import ResourcePool
from cwl_prefect.engine.workflow.scatter import expand, gather
from cwl_prefect.errors import CwlPrefectError, ImageError
from cwl_prefect.flows.build import prepared
from cwl_prefect.flows.cache.call_cache import CallCache, CallPlace, Lookup, open_cache
from cwl_prefect.flows.execution.attempt import Attempt, Call, Ready, Refused
from cwl_prefect.flows.execution.backends import Backends
from cwl_prefect.flows.execution.run import Run
from cwl_prefect.flows.execution.work_pool import demanded, job_variables, on_kubernetes, with_overrides
from cwl_prefect.flows.explain.foresee import Foresight, Values, linked
from cwl_prefect.flows.explain.shown_run import shown_run
from cwl_prefect.model.job import Resources
from cwl_prefect.model.names import call_name, without_indices
from cwl_prefect.model.plan import OutputPort, ProcessClass, StepId, StepPlan, ToolPlan, WorkflowPlan
from cwl_prefect.model.values import CwlObject, as_object
from cwl_prefect.settings import Settings


class Fate(StrEnum):
    """What would become of a call."""

    CACHED = "cached"
    RUNS = "runs"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"  # it depends on values that only the run gives
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastCall:
    """What is known of a call before the run.

    Attributes:
        step: Path of its step, without places in scatters.
        name: Its name.
        fate: What would become of it.
        several: Whether it stands for calls of which nobody knows the number.
        contained: Whether it runs in a container; None: it runs no command, or nobody knows.
        image: Image that it runs in.
        resources: What it asks for; None: that depends on values that are not known.
        unknown: Its inputs that are not known: their types, and why.
        notes: What else there is to say.
        error: Why it cannot be run.
    """

    step: str
    name: str
    fate: Fate
    several: bool = False
    contained: bool | None = None
    image: str | None = None
    resources: Resources | None = None
    unknown: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    error: CwlPrefectError | None = None


async def forecast(plan: WorkflowPlan, order: CwlObject, settings: Settings) -> tuple[ForecastCall, ...]:
    """Foresee the calls of a run; no server and no tool is started, and no image is fetched.

    Args:
        plan: The workflow.
        order: Its job order.
        settings: Settings of the run; a work pool that they name is not asked.

    Raises:
        InputError: The job order does not fit.
        UsageError: A step to be refreshed does not exist, or an override for single steps is wrong.
    """
    settings = demanded(settings, plan)
    variables = job_variables(settings, None)
    looking = replace(variables, layers=(*variables.layers, Layer(origin=Origin.RUN, variables=_NEVER)))
    plan = with_overrides(plan, variables, None, settings)
    inputs = prepared(plan, order, settings)
    backends = Backends(settings, variables=looking)
    with tempfile.TemporaryDirectory(prefix="cwl-prefect-dry-run-") as name:
        runs = Path(name).resolve()
        async with _cache(plan, settings) as cache:
            with shown_run(plan, inputs, settings, None, runs) as shown:
                run = replace(shown, backends=backends, pool=ResourcePool.of_machine(settings))
                found = _Forecast(run=run, cache=cache, foresight=Foresight(directory=runs, ontology=plan.ontology))
                try:
                    await found.workflow(plan, Values(known=inputs), "")
                finally:
                    await backends.close()
    return tuple(found.calls)


_NEVER = {"image_pull_policy": "Never"}


@asynccontextmanager
async def _cache(plan: WorkflowPlan, settings: Settings) -> AsyncIterator[CallCache | None]:
    cache = open_cache(plan, settings, "dry-run")
    try:
        yield cache
    finally:
        if cache is not None:
            cache.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Forecast:
    run: Run
    cache: CallCache | None
    foresight: Foresight
    calls: list[ForecastCall] = field(default_factory=list)
    asked: dict[str, ForecastCall] = field(default_factory=dict)  # by step: a call of which it is known

    async def workflow(self, plan: WorkflowPlan, inputs: Values, prefix: str) -> Values:
        """Foresee the steps of a workflow, and return what is known of its outputs."""
        outputs: dict[StepId, Values] = {}
        for step in plan.steps:
            name = f"{prefix}{step.id}"
            values = linked(step.links, inputs, outputs)
            outputs[step.id] = await self._step(step, values, name)
        links = [replace(port.link, port=port.id) for port in plan.outputs if port.link is not None]
        return linked(links, inputs, outputs)

    async def _step(self, step: StepPlan, values: Values, name: str) -> Values:
        if step.loop is not None:
            await self._element(step, values, name, (0,), several=True)
            return _not_known(step, name)
        if step.scatter is None:
            return await self._element(step, values, name, ())
        hidden = [port for port in step.scatter.ports if port in values.unknown]
        if hidden:
            for port in step.scatter.ports:
                values = values.with_unknown(port, f"an element of {values.unknown.get(port, port)}")
            await self._element(step, values, name, (0,), several=True)
            return _not_known(step, name)
        expansion = expand(step.scatter, values.known)
        found = []
        for element in expansion.elements:
            known = Values(known=as_object(element.values), unknown=values.unknown)
            found.append(await self._element(step, known, name, element.index))
        if any(each.unknown for each in found):
            return _not_known(step, name)
        return Values(known=gather(expansion, [each.known for each in found], step.outputs))

    async def _element(
        self, step: StepPlan, values: Values, name: str, index: tuple[int, ...], *, several: bool = False
    ) -> Values:
        """Foresee one call of a step, or of a step of which nobody knows how often it is called."""
        called = call_name(name, index)
        found = self.foresight.evaluated(step, values, called)
        holding = self.foresight.holds(step, found, called)
        if holding is False and not several:
            self._note(ForecastCall(step=without_indices(name), name=called, fate=Fate.SKIPPED))
            return Values(known=dict.fromkeys(step.outputs))
        known = len(self.calls)
        if isinstance(step.run, WorkflowPlan):
            inside = self.foresight.prepared(step.run, found, called)
            outputs = await self.workflow(step.run, inside, f"{called}.")
        else:
            outputs = await self._called(step.run, found, name, index)
        if several or holding is None:
            self._make_unsure(known, several=several, condition=None if holding is not None else step.when)
            return _not_known(step, name)
        chosen = {port: outputs.known.get(port) for port in step.outputs if port not in outputs.unknown}
        return Values(
            known=chosen, unknown={port: why for port, why in outputs.unknown.items() if port in step.outputs}
        )

    async def _called(self, tool: ToolPlan, values: Values, name: str, index: tuple[int, ...]) -> Values:
        foreseen = self.foresight.called(tool, values, name, index)
        call, unknown = foreseen.call, foreseen.unknown
        begun = ForecastCall(step=without_indices(name), name=call.name, fate=Fate.RUNS, unknown=unknown)
        try:
            if tool.process_class is not ProcessClass.COMMAND_LINE_TOOL:
                return await self._evaluated(call, begun)
            backend = await self.run.backends.choose(tool, name=call.name)
            begun = replace(begun, contained=backend.capabilities.containers)
            lookup, note = (Lookup(), None) if unknown else await self._look_up(call, backend)
            begun = replace(begun, notes=() if note is None else (note,))
            if lookup.outputs is not None:
                self._note(replace(self._like_others(begun), fate=Fate.CACHED))
                return Values(known=as_object(lookup.outputs))
            self._note(await self._asking(call, replace(begun, fate=Fate.UNKNOWN if unknown else Fate.RUNS)))
        except CwlPrefectError as error:
            self._note(replace(begun, fate=Fate.REFUSED, error=error))
        return _given(tool.outputs, call.name)

    async def _evaluated(self, call: Call, begun: ForecastCall) -> Values:
        """Evaluate an ExpressionTool whose inputs are known, which runs no command."""
        if begun.unknown:
            self._note(replace(begun, fate=Fate.UNKNOWN))
            return _given(call.tool.outputs, call.name)
        outputs = await self.run.in_thread(self.run.binder.evaluate, call.tool, call.values, name=call.name)
        self._note(begun)
        return Values(known=outputs)

    async def _look_up(self, call: Call, backend: Backend) -> tuple[Lookup, str | None]:
        """Look a call up; where that would fetch or build an image, say so instead."""
        if self.cache is None:
            return Lookup(), None
        self.run.binder.demand_readable(call.tool, call.values, name=call.name)
        image, _ = docker_requirement(call.tool)
        if backend.capabilities.containers and (
            on_kubernetes(self.run.settings, None) or (image is not None and image.file is not None)
        ):
            return Lookup(), "whether it is cached is known when its image is there"
        place = CallPlace(step=call.step, name=call.name, outdir=self.run.runs / "found" / str(len(self.calls)))
        try:
            return await self.cache.peek(call.tool, call.values, backend, place), None
        except ImageError:
            return Lookup(), "its image is not here yet: it is fetched, and whether it is cached is known then"

    async def _asking(self, call: Call, begun: ForecastCall) -> ForecastCall:
        """Return a call with what it asks for, found once for each step; that may depend on values of the run."""
        if begun.step in self.asked and not begun.unknown:
            return self._like_others(begun)
        attempt = Attempt(run=self.run, call=call, lookup=Lookup())
        made = await attempt.prepare()
        if isinstance(made, Refused):
            if begun.unknown:  # placeholders may fit no expression
                return replace(begun, image=call.tool.image if begun.contained else None)
            raise made.error
        assert isinstance(made, Ready)  # noqa: S101 - nothing is looked up
        await made.lease.aclose()
        self.run.scratch.give_back(made.space)
        bound = made.bound.call
        image = None if bound.image is None else bound.image.name
        self.asked[begun.step] = replace(begun, image=image, resources=bound.resources)
        return self.asked[begun.step]

    def _like_others(self, begun: ForecastCall) -> ForecastCall:
        other = self.asked.get(begun.step)
        return begun if other is None else replace(begun, image=other.image, resources=other.resources)

    def _note(self, call: ForecastCall) -> None:
        self.calls.append(call)

    def _make_unsure(self, since: int, *, several: bool, condition: str | None) -> None:
        """Say of the calls noted since then that nobody knows how many there are, or whether they run."""
        for at, call in enumerate(self.calls[since:], since):
            fate = call.fate if call.fate in (Fate.REFUSED, Fate.SKIPPED) else Fate.UNKNOWN
            notes = (
                call.notes if condition is None else (*call.notes, f"whether it runs is not known: when is {condition}")
            )
            self.calls[at] = replace(call, fate=fate, several=call.several or several, notes=notes)


def _given(ports: Sequence[OutputPort], name: str) -> Values:
    why = {port.id: f"an output of {name}: {port.id}" for port in ports}
    return Values(known={}, unknown=why)


def _not_known(step: StepPlan, name: str) -> Values:
    return Values(known={}, unknown={port: f"an output of the step {name}: {port}" for port in step.outputs})
