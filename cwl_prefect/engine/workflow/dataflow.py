"""Which steps of a workflow may run now, and what they receive: a state machine without any I/O."""

from collections.abc import Mapping

from pydantic import JsonValue

from cwl_prefect.engine.workflow.links import merge, merge_incomplete
from cwl_prefect.errors import InputError
from cwl_prefect.model.plan import Link, Source, StepId, StepPlan, WorkflowPlan
from cwl_prefect.model.values import CwlObject


class Dataflow:
    """Progress of one run of a workflow.

    A driver takes steps from :meth:`ready`, runs each one as it likes, and tells the end of each by :meth:`complete` or
    :meth:`fail`, until :attr:`finished`. A step is ready the moment its last source exists. A skipped step (``when`` is
    false) is complete, with null outputs. A whole run costs no more than the workflow has links. It can be pickled
    at any moment.
    """

    def __init__(self, plan: WorkflowPlan, inputs: Mapping[str, JsonValue]) -> None:
        """Begin a run.

        Args:
            plan: The workflow.
            inputs: Its input object; a default stands in for an input that is null or absent.

        Raises:
            ValueError: A link names a step that the workflow does not have.
        """
        self._plan = plan
        self._inputs = {port.id: _or_default(inputs.get(port.id), port.default) for port in plan.inputs}
        self._upstream = {step.id: _steps_of(step.links) for step in plan.steps}
        self._downstream: dict[StepId, list[StepId]] = {step.id: [] for step in plan.steps}
        for step_id, sources in self._upstream.items():
            for source in sources:
                self._check(source)
                self._downstream[source].append(step_id)
        for source in _steps_of(tuple(port.link for port in plan.outputs if port.link is not None)):
            self._check(source)
        self._steps = {step.id: step for step in plan.steps}
        self._missing = {step_id: len(sources) for step_id, sources in self._upstream.items()}
        self._ready = [step_id for step_id, missing in self._missing.items() if missing == 0]
        self._running: set[StepId] = set()
        self._outputs: dict[StepId, Mapping[str, JsonValue]] = {}
        self._partial: dict[StepId, Mapping[str, JsonValue]] = {}
        self._failed: set[StepId] = set()

    @property
    def failed(self) -> bool:
        """Whether any step failed."""
        return bool(self._failed)

    def ready(self) -> tuple[StepPlan, ...]:
        """Hand out the steps that can run now and were not handed out before."""
        handed_out = tuple(self._steps[step_id] for step_id in self._ready if step_id not in self._failed)
        self._ready.clear()
        self._running.update(step.id for step in handed_out)
        return handed_out

    def step_inputs(self, step: StepPlan) -> CwlObject:
        """Return each linked port of a step its value, before scatter and ``valueFrom``.

        Values are shared with other steps: change none in place.

        Raises:
            InputError: A ``pickValue`` cannot be met.
            ValueError: A source does not exist yet.
        """
        return {link.port: self._value(link, "input") for link in step.links}

    def upstream(self, step: StepPlan) -> tuple[StepId, ...]:
        """Name the steps that a step takes values from, each once."""
        return self._upstream[step.id]

    def complete(self, step: StepId, outputs: Mapping[str, JsonValue]) -> None:
        """Record the outputs of a step that ended well or was skipped; a port that they lack is null.

        Raises:
            ValueError: The step was not handed out, or it ended before.
        """
        if step not in self._running:
            msg = f"step '{step}' is not running"
            raise ValueError(msg)
        self._running.remove(step)
        self._outputs[step] = outputs
        for downstream in self._downstream[step]:
            self._missing[downstream] -= 1
            if self._missing[downstream] == 0:
                self._ready.append(downstream)

    def fail(self, step: StepId, outputs: Mapping[str, JsonValue] | None = None) -> tuple[StepId, ...]:
        """Record that a step has no outputs, so that nothing downstream of it will run.

        Args:
            step: The step.
            outputs: What it could still give; it counts only among partial outputs of the workflow.

        Returns:
            The steps downstream that will now never run and were not lost before, in the order of the plan.

        Raises:
            ValueError: The workflow has no such step, or it ended before.
        """
        if step not in self._steps or step in self._outputs or step in self._failed:
            msg = f"step '{step}' cannot fail: it ended before, or there is no such step"
            raise ValueError(msg)
        self._running.discard(step)
        self._failed.add(step)
        self._partial[step] = outputs or {}
        lost = self._lose_downstream(step)
        return tuple(step_id for step_id in self._steps if step_id in lost) if lost else ()

    def outputs(self, *, partial: bool = False) -> CwlObject:
        """Return the workflow's outputs.

        Args:
            partial: Whatever there is, instead of an error: of a step that failed or has not ended only what it could
                still give, else null.

        Raises:
            InputError: A ``pickValue`` cannot be met.
            ValueError: A source does not exist, and ``partial`` is not set.
        """
        return {port.id: self._output(port.link, partial=partial) for port in self._plan.outputs}

    def _output(self, link: Link | None, *, partial: bool) -> JsonValue:
        if link is None:
            return None
        whole = [source.step is None or source.step in self._outputs for source in link.sources]
        if not partial or all(whole):
            return self._value(link, "output")
        return merge_incomplete(link, [self._remains(source) for source in link.sources], whole)

    def _remains(self, source: Source) -> JsonValue:
        """Return the value of a source, or what its step could still give."""
        if source.step is None or source.step in self._outputs:
            return self._source(source)
        return self._partial.get(source.step, {}).get(source.port)

    def _value(self, link: Link, what: str) -> JsonValue:
        values = [self._source(source) for source in link.sources]
        try:
            return merge(link, values)
        except InputError as error:
            error.parts = (f"{what} {link.port}",)
            raise

    def _source(self, source: Source) -> JsonValue:
        if source.step is None:
            return self._inputs.get(source.port)
        if source.step not in self._outputs:
            msg = f"step '{source.step}' has no outputs"
            raise ValueError(msg)
        return self._outputs[source.step].get(source.port)

    def _lose_downstream(self, step: StepId) -> set[StepId]:
        lost: set[StepId] = set()
        reached = [step]
        while reached:
            for downstream in self._downstream[reached.pop()]:
                if downstream not in self._failed:
                    self._failed.add(downstream)
                    lost.add(downstream)
                    reached.append(downstream)
        return lost

    def _check(self, step: StepId) -> None:
        if step not in self._downstream:
            msg = f"workflow '{self._plan.name}' has no step '{step}'"
            raise ValueError(msg)


def _steps_of(links: tuple[Link, ...]) -> tuple[StepId, ...]:
    return tuple(dict.fromkeys(source.step for link in links for source in link.sources if source.step is not None))


def _or_default(value: JsonValue, default: JsonValue) -> JsonValue:
    return default if value is None else value
