"""The spans of a run: one for the run, each step, each call of a subworkflow, and each try of any other call."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from cwl_prefect.engine.records.secrets import secret_texts, text_without
from cwl_prefect.model.events import RunEnded, RunObserver, RunStarted, RunState, StepEnded, StepEvent, StepEventKind
from cwl_prefect.model.trace_ids import TraceIds
from cwl_prefect.reports.record import CallTry, try_of
from cwl_prefect.reports.telemetry.earlier import Earlier
from cwl_prefect.reports.telemetry.span import EndedStep, RunSpan, call_span, parent_of, step_span

_LONGEST_MESSAGE = 4000


class Spans(RunObserver):
    """Makes a span of each thing that ended.

    Args:
        event: How the run began.
        earlier: What earlier drivers of the run left.
        send: Takes the spans.
    """

    def __init__(self, event: RunStarted, earlier: Earlier, send: Callable[[RunSpan], None]) -> None:
        self._run = event
        self._ids = TraceIds(event.flow_run_id, event.began_s)
        self._earlier = earlier
        self._secret = () if event.plan is None else secret_texts(event.plan, event.inputs or {})
        self._to = send
        self._steps: dict[str, float] = {}  # when those began that go on
        self._subworkflows: dict[str, tuple[str, float]] = {}  # calls of them, with their steps
        self._running: dict[str, tuple[str, float]] = {}  # other calls
        self._retried: Counter[str] = Counter()

    def run_started(self, event: RunStarted) -> None:  # noqa: ARG002 - it is known since this was made
        """Send what a killed driver could not."""
        for span in self._earlier.unsent:
            self._send(span)

    def step_planned(self, event: StepEvent) -> None:
        """Note when a step began."""
        self._steps.setdefault(event.step, time.time())

    def call_started(self, event: StepEvent) -> None:
        """Note when a call began."""
        began = self._subworkflows if event.subworkflow else self._running
        began[_name(event)] = (event.step, time.time())

    def call_retrying(self, event: StepEvent) -> None:
        """Make a span of a try that failed."""
        self.call_ended(event)
        self._running[_name(event)] = (event.step, time.time())
        self._retried[_name(event)] += 1

    def call_ended(self, event: StepEvent) -> None:
        """Make a span of a call that ended."""
        began = self._subworkflows if event.subworkflow else self._running
        _, began_s = began.pop(_name(event), (event.step, time.time()))
        self._end_call(try_of(event, time.time()), began_s)

    def step_ended(self, event: StepEnded) -> None:
        """Make a span of a step that ended, and of its calls that were stopped with it."""
        self._stop_calls(event.step)
        self._end_step(event.step, event.state, None if event.error is None else str(event.error))

    def run_ended(self, event: RunEnded) -> None:
        """Make a span of the run, and of what was stopped with it."""
        self._stop_calls(None)
        for step in reversed(list(self._steps)):
            self._end_step(step, RunState.CANCELLED)
        plan = self._run.plan
        failed = event.state is RunState.FAILED
        self._send(
            RunSpan(
                name=f"run {self._run.name if plan is None else plan.name}",
                identifier=self._ids.run,
                parent=None,
                began_s=self._run.began_s,
                ended_s=time.time(),
                attributes={
                    "prefect.run.id": self._run.flow_run_id,
                    "prefect.run.name": self._run.name,
                    "cwl.state": event.state.value,
                    "cwl.resumed": self._run.resumed,
                },
                links={} if self._earlier.run is None else {"resumes": self._earlier.run},
                error=(event.message or event.state.value) if failed else None,
            )
        )

    def _stop_calls(self, step: str | None) -> None:
        """End the calls of a step, or of all, that have no end of their own."""
        for began in (self._running, self._subworkflows):
            for call, (of, began_s) in list(began.items()):
                if step in (None, of):
                    del began[call]
                    state = StepEventKind.CANCELLED.value
                    self._end_call(CallTry(step=of, call=call, state=state, at=time.time()), began_s)

    def _end_call(self, found: CallTry, began_s: float) -> None:
        number = self._retried[found.call] + 1
        span = call_span(self._ids, found, number=number, began_s=began_s, links=self._links(found, number))
        if "adopts" in span.links:
            span = replace(span, attributes={**span.attributes, "cwl.adopted": True})
        self._send(span)

    def _links(self, found: CallTry, number: int) -> Mapping[str, int]:
        """Return the try before this one, and what an earlier driver knows of the call."""
        if number > 1:
            return {"retries": self._ids.call(found.call, number - 1)}
        earlier = self._earlier.calls.get(found.call)
        if earlier is None:
            return {}
        adopted = found.started_at is not None and found.started_at < self._run.began_s
        return {"adopts" if adopted else "repeats": earlier}

    def _end_step(self, step: str, state: RunState, message: str | None = None) -> None:
        now = time.time()
        began_s = self._steps.pop(step, now)
        found = EndedStep(step=step, began_s=began_s, ended_s=now, state=state.value, message=message)
        self._send(step_span(self._ids, found, parent=parent_of(step, self._ids, self._subworkflows)))

    def _send(self, span: RunSpan) -> None:
        if span.error is not None:
            span = replace(span, error=text_without(span.error[:_LONGEST_MESSAGE], self._secret))
        self._to(span)


def _name(event: StepEvent) -> str:
    return event.call or event.step
