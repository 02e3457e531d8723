"""The calls of a run as its trace tells them, with their values."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from cwl_prefect.model.values import CwlObject
from cwl_prefect.reports.record import RUNNING, CallTry, Record, read_record, try_in
from cwl_prefect.reports.trace import read_lines

CACHED = "cached"
_NEVER_RAN = ("skipped", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A try of a call, a call that came from the cache, or a call of a subworkflow."""

    tried: CallTry
    inputs: CwlObject
    outputs: CwlObject


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What happened in a run; what was not recorded, or is too large for it, is empty."""

    record: Record
    inputs: CwlObject
    outputs: CwlObject
    calls: tuple[Call, ...]  # of tools
    subworkflows: Mapping[str, Call]  # by name; the last of each

    def values(self) -> Iterator[CwlObject]:
        """Yield the inputs and outputs of the run and of its calls."""
        yield from (self.inputs, self.outputs)
        for call in (*self.calls, *self.subworkflows.values()):
            yield from (call.inputs, call.outputs)


def read_history(directory: Path) -> History:
    """Read what happened in a run.

    Raises:
        InputError: There is no trace.
    """
    record, lines = read_record(directory), list(read_lines(directory))
    unended = [Call(tried=found, inputs={}, outputs={}) for found in record.tries if found.state == RUNNING]
    return History(
        record=record,
        inputs=_object(record.started.get("inputs")),
        outputs=_object(record.outputs),
        calls=(*_ran(list(_calls(lines, "call_ended"))), *unended),
        subworkflows={call.tried.call: call for call in _calls(lines, "subworkflow_ended")},
    )


def _calls(lines: Iterable[Mapping[str, JsonValue]], event: str) -> Iterator[Call]:
    for line in lines:
        tried = try_in(line) if line.get("event") == event else None
        if tried is not None:
            yield Call(tried=tried, inputs=_object(line.get("inputs")), outputs=_object(line.get("outputs")))


def _ran(calls: list[Call]) -> Iterator[Call]:
    """Yield the tries that ran, and calls from the cache that no driver of this run made itself."""
    made = {call.tried.call for call in calls if call.tried.state == "succeeded"}
    for call in calls:
        tried = call.tried
        if tried.state in _NEVER_RAN and tried.started_at is None:
            continue
        if tried.state == CACHED:
            if tried.call in made:
                continue
            made.add(tried.call)
        yield call


def _object(value: JsonValue) -> CwlObject:
    return value if isinstance(value, dict) else {}
