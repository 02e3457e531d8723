"""What a run says on standard error, as lines of JSON for machines."""

import json
import logging
import sys
import traceback
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

from pydantic import JsonValue

from cwl_prefect.engine.records.secrets import secret_texts, without
from cwl_prefect.model.events import RunEnded, RunObserver, RunStarted, RunState, StepEnded, StepEvent, StepEventKind
from cwl_prefect.model.trace_ids import trace_id


class JsonLines(RunObserver):
    """Writes a line for each event, log record and message, with the run, the step and the trace that it is about."""

    def __init__(self) -> None:
        self._about: Mapping[str, JsonValue] = {}
        self._secret: tuple[str, ...] = ()
        self._retried: Counter[str] = Counter()

    def run_started(self, event: RunStarted) -> None:
        """Write that the run began."""
        run = {"run": event.name, "flow_run": event.flow_run_id, "trace": f"{trace_id(event.flow_run_id):032x}"}
        self._about, self._retried = run, Counter()
        if event.plan is not None:
            self._secret = secret_texts(event.plan, event.inputs or {})
        self._write("run_started", {"resumed": event.resumed, "url": event.url})

    def step_planned(self, event: StepEvent) -> None:
        """Write how many calls a step has."""
        self._write("step_planned", {"step": event.step, "count": event.count})

    def call_started(self, event: StepEvent) -> None:
        """Write that a call began."""
        self._write("call_started", {**_call(event), "try": 1})

    def call_retrying(self, event: StepEvent) -> None:
        """Write that a try failed."""
        self._call_ended("call_retrying", event)
        self._retried[event.call or event.step] += 1

    def call_ended(self, event: StepEvent) -> None:
        """Write how a call ended."""
        self._call_ended("call_ended", event)

    def step_ended(self, event: StepEnded) -> None:
        """Write how a step ended."""
        message = None if event.error is None else str(event.error)
        members = {"step": event.step, "state": event.state.value, "message": message}
        self._write("step_ended", members, _level(event.state))

    def run_ended(self, event: RunEnded) -> None:
        """Write how the run ended."""
        self._write("run_ended", {"state": event.state.value, "message": event.message}, _level(event.state))

    def record(self, record: logging.LogRecord) -> str:
        """Return the line of a log record."""
        raised = None if record.exc_info is None else "".join(traceback.format_exception(*record.exc_info))
        members = {"logger": record.name, "message": record.getMessage(), "traceback": raised}
        return self._line("log", members, record.levelname.lower())

    def message(self, text: str) -> str:
        """Return the line of a message for people."""
        level, _, said = text.partition(": ")
        if level in ("Error", "Warning"):
            return self._line("message", {"message": said}, level.lower())
        return self._line("message", {"message": text}, "info")

    def _call_ended(self, name: str, event: StepEvent) -> None:
        number = self._retried[event.call or event.step] + 1
        members = {**_call(event), "try": number, "state": event.kind.value, "message": event.message}
        self._write(name, members, _level(event.kind))

    def _write(self, event: str, members: Mapping[str, JsonValue], level: str = "info") -> None:
        with suppress(OSError, ValueError):  # nobody reads it
            sys.stderr.write(self._line(event, members, level) + "\n")

    def _line(self, event: str, members: Mapping[str, JsonValue], level: str) -> str:
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        known = {name: value for name, value in members.items() if value is not None}
        line = {"time": time, "level": level, "event": event, **self._about, **known}
        return json.dumps(without(line, self._secret), separators=(",", ":"))


def _call(event: StepEvent) -> dict[str, JsonValue]:
    """Return what tells a call from others."""
    call = event.call or event.step
    place = call.removeprefix(event.step).strip("[]")
    index: list[JsonValue] | None = [int(number) for number in place.split(",")] if place else None
    return {"step": event.step, "call": call, "index": index}


def _level(state: StepEventKind | RunState) -> str:
    return "error" if state in (StepEventKind.FAILED, RunState.FAILED) else "info"
