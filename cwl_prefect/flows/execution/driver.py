"""Drive a plan: each step starts the moment its sources exist; scatters, loops and subworkflows become calls."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import partial

from prefect import State

from cwl_prefect._lib.cancellation import cancel_and_wait
from cwl_prefect.cwl.binding.inputs import prepare_inputs
from cwl_prefect.cwl.values.errors import call_errors, put_place
from cwl_prefect.engine.records.secrets import object_without
from cwl_prefect.engine.workflow.dataflow import Dataflow
from cwl_prefect.engine.workflow.scatter import Expansion, expand, gather
from cwl_prefect.environment import stage_variables
from cwl_prefect.errors import CwlPrefectError, InputError
from cwl_prefect.flows.execution.attempt import Call
from cwl_prefect.flows.execution.call_work import CallWork
from cwl_prefect.flows.execution.evaluated import condition_holds, evaluated, next_inputs, only_declared
from cwl_prefect.flows.execution.failures import IncompleteError, in_order, keep_failures, note, remains
from cwl_prefect.flows.execution.gates import Breaker, Gate, NotStartedError, Stop, any_closed
from cwl_prefect.flows.execution.nested import run_nested
from cwl_prefect.flows.execution.run import Run
from cwl_prefect.flows.execution.scatter_groups import WideScatter, run_groups
from cwl_prefect.flows.execution.task_runs import StepTasks, Tasks, tell_group
from cwl_prefect.model.events import StepEnded, StepEvent, StepEventKind
from cwl_prefect.model.job import StepResult
from cwl_prefect.model.names import call_name
from cwl_prefect.model.plan import Loop, LoopOutput, Scatter, StepId, StepPlan, ToolPlan, WorkflowPlan
from cwl_prefect.model.values import CwlObject, as_object
from cwl_prefect.settings import OnError

Outputs = CwlObject | None  # None: skipped
States = tuple[State[object], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Where in the workflow a step stands."""

    path: str = ""  # prefix of its name, as `prepare[2].`
    recorded: bool = True  # whether its calls are task runs of their own
    nested: bool = False  # whether subworkflows here are flow runs of their own
    after: States = ()  # states that its first steps come after, for the graph
    gates: tuple[Gate, ...] = ()  # nothing begins here once one of them is closed


@dataclass(frozen=True, slots=True, kw_only=True)
class StepAtWork:
    """A step that is being run.

    Attributes:
        step: The step.
        name: Its name, with its path.
        scope: Where it stands.
        states: Those of its task runs, as they end.
    """

    step: StepPlan
    name: str
    scope: Scope
    states: list[State[object]]


class Driver:
    """Drives the plan of one flow run.

    Args:
        run: What its calls share.
        tasks: Carries calls through task runs; Prefect's where none is given.
    """

    def __init__(self, run: Run, tasks: Tasks | None = None) -> None:
        self._run = run
        self._tasks: Tasks = tasks or StepTasks(run.settings)
        self._stop = run.settings.on_error is OnError.STOP
        self._finish = run.settings.on_error is OnError.FINISH
        self._gate = Gate()
        self._stopped = Stop()

    async def workflow(self, plan: WorkflowPlan, values: CwlObject, scope: Scope) -> tuple[CwlObject, States]:
        """Run a workflow; return its outputs, and the states of the steps that they come from.

        With on_error=continue a failed step's outputs are null and the failures are noted; so they are with
        on_error=finish, and nothing begins after the first.

        Raises:
            CwlPrefectError: A step failed and on_error is stop; its other steps are cancelled first.
        """
        flow = Dataflow(plan, await self._inputs(plan, values, scope))
        states: dict[StepId, States] = {}
        running: dict[asyncio.Task[tuple[CwlObject, States]], StepPlan] = {}
        failures: list[CwlPrefectError] = []
        try:
            while True:
                for step in flow.ready():
                    if self._closed(scope):
                        flow.fail(step.id)
                        continue
                    after = tuple(state for name in flow.upstream(step) for state in states.get(name, ()))
                    running[self._begin(flow, step, replace(scope, after=after or scope.after))] = step
                if not running:
                    break
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    failures += self._settle(flow, states, running.pop(task), task)
                if scope.recorded:  # else another try of all may be due
                    note(self._run.progress, failures)
                    failures.clear()
        finally:
            await cancel_and_wait(*running)
        keep_failures(self._run.progress, failures, recorded=scope.recorded)
        sources = {source.step for port in plan.outputs if port.link for source in port.link.sources}
        giving = tuple(state for name in states if name in sources for state in states[name])
        with call_errors(scope.path.rstrip(".") or plan.name, places=self._run.places_of(scope.path)):
            outputs = flow.outputs(partial=not self._stop)
        if flow.failed and scope.path:
            raise IncompleteError(scope.path.rstrip("."), outputs=outputs)
        return outputs, giving

    async def _inputs(self, plan: WorkflowPlan, values: CwlObject, scope: Scope) -> CwlObject:
        if not scope.path:  # the outermost job order was prepared before the run began
            return await self._run.local(values, name=plan.name, places=self._run.places_of(""))
        return await self._run.in_thread(
            prepare_inputs,
            plan,
            values,
            ontology=self._run.plan.ontology,
            outermost=False,
            name=scope.path.rstrip("."),
            host_files=self._run.binder.host_files,
        )

    def _begin(self, flow: Dataflow, step: StepPlan, scope: Scope) -> asyncio.Task[tuple[CwlObject, States]]:
        name = f"{scope.path}{step.id}"
        task = asyncio.create_task(self._step(flow, step, scope), name=name)
        task.add_done_callback(partial(self._tell_end, name))
        return task

    def _tell_end(self, name: str, task: asyncio.Task[tuple[CwlObject, States]]) -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        self._run.tell(StepEnded(step=name, error=error))

    async def _step(self, flow: Dataflow, step: StepPlan, scope: Scope) -> tuple[CwlObject, States]:
        """Run one step, however often it is called, to its outputs."""
        name = f"{scope.path}{step.id}"
        with call_errors(name, places=self._run.places_of(name)):
            values = flow.step_inputs(step)
        work = StepAtWork(step=step, name=name, scope=scope, states=[])
        if step.scatter is not None:
            outputs = await self._scattered(work, step.scatter, values)
        elif step.loop is not None:
            outputs = await self._loop(work, step.loop, values)
        else:
            self._run.tell(StepEvent(kind=StepEventKind.PLANNED, step=name, count=1))
            outputs = _or_null(step, await self._element(work, values, ()))
        return {port: outputs.get(port) for port in step.outputs}, tuple(work.states)

    async def _scattered(self, work: StepAtWork, scatter: Scatter, values: CwlObject) -> CwlObject:
        name, recorded = work.name, work.scope.recorded
        try:
            expansion = expand(scatter, values)
        except InputError as error:
            if not await self._is_off(work.step, scatter, values, name):
                named = error.naming(name)
                named.parts = ("scatter",)
                put_place(named, self._run.places_of(name))
                raise named from error
            self._run.tell(StepEvent(kind=StepEventKind.PLANNED, step=name, count=1))
            await self._skipped(work, ())
            return _or_null(work.step, None)
        count = len(expansion.elements)
        self._run.tell(StepEvent(kind=StepEventKind.PLANNED, step=name, count=count))
        grouped = recorded and count > self._run.settings.group_threshold
        return await self._elements(work, expansion, grouped=grouped)

    async def _is_off(self, step: StepPlan, scatter: Scatter, values: CwlObject, name: str) -> bool:
        """Check whether the ``when`` of a step is false without the arrays that it is scattered over."""
        if step.when is None or all(values.get(port) is not None for port in scatter.ports):
            return False
        try:
            own = await evaluated(self._run, step, values, name=name)
            return not await condition_holds(self._run, step.when, step, own, name=name)
        except CwlPrefectError:
            return False  # the array is what is missing

    async def _elements(self, work: StepAtWork, expansion: Expansion, *, grouped: bool) -> CwlObject:
        name, scope = work.name, work.scope
        breaker = Breaker(name, most=self._run.settings.circuit_breaker, count=len(expansion.elements))
        inner = replace(scope, nested=False, recorded=scope.recorded and not grouped, gates=(*scope.gates, breaker))
        within = replace(work, scope=inner)
        calls = [
            lambda element=element: self._watched(
                self._element(within, as_object(element.values), element.index), breaker
            )
            for element in expansion.elements
        ]
        if grouped:
            wide = WideScatter(step=name, calls=calls, gates=(self._gate, *inner.gates))
            ends = await run_groups(self._tasks, self._run, wide, scope.after, work.states)
        else:
            ends = await self._all(calls)
        outputs = gather(expansion, [remains(end) for end in ends], work.step.outputs)
        failures = in_order(end for end in ends if isinstance(end, CwlPrefectError))
        keep_failures(self._run.progress, [*failures, *breaker.errors], recorded=scope.recorded)
        if failures:
            why = f"{len(failures)} of {len(ends)} calls failed or were not started; the first: {failures[0]}"
            raise IncompleteError(name, outputs=outputs, why=why)
        return outputs

    async def _watched(self, call: Awaitable[Outputs], breaker: Breaker) -> Outputs:
        try:
            found = await call
        except CwlPrefectError as error:
            if not error.try_again and not isinstance(error, NotStartedError):
                breaker.failed(error)
            raise
        breaker.passed()
        return found

    async def _all(
        self, calls: Sequence[Callable[[], Coroutine[None, None, Outputs]]]
    ) -> list[Outputs | CwlPrefectError]:
        tasks = [asyncio.create_task(call()) for call in calls]
        try:
            found = await asyncio.gather(*tasks, return_exceptions=not self._stop)
        finally:
            await cancel_and_wait(*tasks)
        ends: list[Outputs | CwlPrefectError] = []
        for end in found:
            if isinstance(end, BaseException) and not isinstance(end, CwlPrefectError):
                raise end
            ends.append(end)
        return ends

    async def _loop(self, work: StepAtWork, loop: Loop, values: CwlObject) -> CwlObject:
        step, name = work.step, work.name
        current = await evaluated(self._run, step, values, name=name)
        collected: list[CwlObject] = []
        within = replace(work, scope=replace(work.scope, nested=False))
        while await condition_holds(self._run, loop.when, step, current, name=name):
            index = (len(collected),)
            self._check(work.scope, call_name(name, index))
            self._run.tell(StepEvent(kind=StepEventKind.PLANNED, step=name, count=len(collected) + 1))
            collected.append(await self._process(within, current, index))
            current = await next_inputs(self._run, step, loop, current, collected[-1], name=name)
        if loop.output is LoopOutput.ALL_ITERATIONS:
            return {port: [outputs.get(port) for outputs in collected] for port in step.outputs}
        return collected[-1] if collected else _or_null(step, None)

    async def _element(self, work: StepAtWork, values: CwlObject, index: tuple[int, ...]) -> Outputs:
        step = work.step
        try:
            called = call_name(work.name, index)
            own = await evaluated(self._run, step, values, name=called)
            if step.when is not None and not await condition_holds(self._run, step.when, step, own, name=called):
                await self._skipped(work, index)
                return None
            return await self._process(work, own, index)
        except CwlPrefectError as error:
            self._halt(error)
            raise

    def _process(self, work: StepAtWork, values: CwlObject, index: tuple[int, ...]) -> Awaitable[CwlObject]:
        run = work.step.run
        if isinstance(run, ToolPlan):
            if work.step.stage:
                values = {**values, **stage_variables(port.id for port in run.inputs)}
            return self._call(
                work, Call(tool=run, values=as_object(only_declared(run, values)), step=work.name, index=index)
            )
        return self._subworkflow(work, run, values, call_name(work.name, index))

    async def _subworkflow(self, work: StepAtWork, plan: WorkflowPlan, values: CwlObject, called: str) -> CwlObject:
        """Run a subworkflow, and tell its beginning and end."""
        scope, inner = work.scope, replace(work.scope, path=f"{called}.")
        told = StepEvent(kind=StepEventKind.STARTED, step=work.name, call=called, subworkflow=True, inputs=values)
        self._run.tell(told)
        try:
            if scope.nested and scope.recorded:
                drive = partial(self.workflow, plan, values, replace(inner, after=()))
                shown = object_without(values, plan, self._run.secret)
                outputs, giving = await run_nested(shown, drive, name=called, after=inner.after)
            else:
                outputs, giving = await self.workflow(plan, values, inner)
        except CwlPrefectError as error:
            self._run.tell(replace(told, kind=StepEventKind.FAILED, message=str(error)))
            raise
        self._run.tell(replace(told, kind=StepEventKind.SUCCEEDED, outputs=outputs))
        work.states.extend(giving)
        return outputs

    async def _call(self, at: StepAtWork, call: Call) -> CwlObject:
        scope = at.scope
        work = CallWork(self._run, call, stop=self._stopped if self._stop else None, noted=scope.recorded)
        async with self._run.places.turn(self._run.priorities.rank(call.step, call.tool)):
            try:
                self._check(scope, call.name, step=call.step)
                await work.prepare()
                self._check(scope, call.name, step=call.step)
                if not scope.recorded:
                    done = await work.attempt()
                    tell_group(cached=done.cached)
                    return done.outputs
                result, state = await self._tasks.run(call.step, call.name, work, scope.after)
            finally:
                await work.release()
        at.states.append(state)
        assert isinstance(result, StepResult)  # noqa: S101
        return result.outputs

    async def _skipped(self, work: StepAtWork, index: tuple[int, ...]) -> None:
        called = call_name(work.name, index)
        self._run.tell_call(StepEventKind.SKIPPED, work.name, called)
        if work.scope.recorded:
            work.states.append(await self._tasks.skip(work.name, called, work.scope.after))

    def _halt(self, error: CwlPrefectError) -> None:
        """With on_error=finish, let nothing begin after a failure that is final."""
        if self._finish and not error.try_again:
            self._gate.close()

    def _closed(self, scope: Scope) -> bool:
        return self._gate.closed or any_closed(scope.gates)

    def _check(self, scope: Scope, called: str, *, step: str | None = None) -> None:
        """Refuse to begin a call behind a closed gate."""
        if not self._closed(scope):
            return
        if step is not None:
            self._run.tell_call(StepEventKind.CANCELLED, step, called)
        raise NotStartedError(f"{called}: not started, because something else failed.", step=called)

    def _settle(
        self,
        flow: Dataflow,
        states: dict[StepId, States],
        step: StepPlan,
        task: asyncio.Task[tuple[CwlObject, States]],
    ) -> tuple[CwlPrefectError, ...]:
        """Note how a step ended; gives its failure, if any, where others go on."""
        error = task.exception()
        if isinstance(error, CwlPrefectError):
            self._halt(error)
        if error is None:
            outputs, states[step.id] = task.result()
            flow.complete(step.id, outputs)
            return ()
        if self._stop or not isinstance(error, CwlPrefectError):
            raise error
        flow.fail(step.id, None if step.loop is not None else remains(error))
        return (error,)


def _or_null(step: StepPlan, outputs: Outputs) -> CwlObject:
    return dict.fromkeys(step.outputs) if outputs is None else outputs
