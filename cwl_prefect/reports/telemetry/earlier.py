"""What earlier drivers of a run left, as its trace tells it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from cwl_prefect.model.trace_ids import TraceIds
from cwl_prefect.reports.record import CallTry, try_in
from cwl_prefect.reports.telemetry.span import KILLED, EndedStep, RunSpan, call_span, parent_of, step_span
from cwl_prefect.reports.trace import Line, moment, read_lines

UNSENT_S = 10.0
"""Seconds before its last sign of life in which a driver may not have sent what ended."""

_WHY = "the driver was killed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """What earlier drivers left.

    Attributes:
        run: Span of the run by the one before.
        calls: The last span of each call.
        unsent: What the one before could not send, where it was killed.
    """

    run: int | None = None
    calls: Mapping[str, int] = field(default_factory=dict)
    unsent: Sequence[RunSpan] = ()


def read_earlier(directory: Path, ids: TraceIds) -> Earlier:
    """Read what drivers left that were before another; nothing, where nothing is recorded.

    Args:
        directory: That of the run's trace.
        ids: Identifiers of the other driver.
    """
    found: list[_Driver] = []
    with suppress(OSError):
        for line in read_lines(directory):
            if line.get("event") == "run_started":
                found.append(_Driver(ids=TraceIds(ids.run_id, moment(line, "began_at")), name=str(line["workflow"])))
            if found:
                found[-1].lines.append(line)
    before = list(takewhile(lambda driver: driver.ids.run != ids.run, found))
    if not before:
        return Earlier()
    calls = {call: span for driver in before for call, span in driver.calls()}
    return Earlier(run=before[-1].ids.run, calls=calls, unsent=tuple(before[-1].unsent()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Driver:
    """One driver of a run, by the lines that it wrote."""

    ids: TraceIds
    name: str  # of the workflow
    lines: list[Line] = field(default_factory=list)

    def calls(self) -> Iterator[tuple[str, int]]:
        """Yield the span of each try of a call, the later the later."""
        for line, number in self._numbered():
            yield str(line["call"]), self.ids.call(str(line["call"]), number)

    def unsent(self) -> Iterator[RunSpan]:
        """Yield what it may not have sent, where it did not come to its end."""
        if self.lines[-1].get("event") == "run_ended":
            return
        last_s = moment(self.lines[-1], "at")
        yield RunSpan(
            name=f"run {self.name}",
            identifier=self.ids.run,
            parent=None,
            began_s=self.ids.began_s,
            ended_s=last_s,
            attributes={"prefect.run.id": self.ids.run_id, "cwl.state": KILLED},
            error=_WHY,
        )
        yield from self._steps(last_s)
        yield from self._calls(last_s)

    def _steps(self, last_s: float) -> Iterator[RunSpan]:
        subworkflows = {str(line["call"]) for line in self._of("subworkflow_started")}
        ended = {str(line["step"]): line for line in self._of("step_ended")}
        began = {str(line["step"]): moment(line, "at") for line in reversed(list(self._of("step_planned")))}
        for step, began_s in began.items():
            line = ended.get(step, {"at": last_s, "state": KILLED, "message": _WHY})
            found = EndedStep(
                step=step,
                began_s=began_s,
                ended_s=moment(line, "at"),
                state=str(line["state"]),
                message=None if line["message"] is None else str(line["message"]),
            )
            if found.ended_s >= last_s - UNSENT_S:
                yield step_span(self.ids, found, parent=parent_of(step, self.ids, subworkflows))

    def _calls(self, last_s: float) -> Iterator[RunSpan]:
        began: dict[tuple[str, int], float] = {}
        ended: dict[tuple[str, int], CallTry] = {}
        for line, number in self._numbered():
            call, found = str(line["call"]), try_in(line)
            if found is not None:
                ended[call, number] = found
            now = number + (found is not None and found.state == "retrying")
            if (call, now) not in ended:
                ended[call, now] = CallTry(step=str(line["step"]), call=call, state=KILLED, at=last_s, message=_WHY)
                began[call, now] = moment(line, "at")
        for (call, number), found in ended.items():
            if found.at >= last_s - UNSENT_S:
                began_s = began.get((call, number), found.at)
                yield call_span(self.ids, found, number=number, began_s=began_s)

    def _numbered(self) -> Iterator[tuple[Line, int]]:
        """Yield the lines about calls, with the number of the try that they are about."""
        tried: dict[str, int] = {}
        for line in self.lines:
            if line.get("event") in ("call_started", "call_ended", "subworkflow_started", "subworkflow_ended"):
                call = str(line.get("call"))
                yield {**line, "call": call}, tried.get(call, 0) + 1
                if line.get("state") == "retrying":
                    tried[call] = tried.get(call, 0) + 1

    def _of(self, event: str) -> Iterator[Line]:
        yield from (line for line in self.lines if line.get("event") == event)
