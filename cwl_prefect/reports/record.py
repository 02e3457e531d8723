"""A run as its trace tells it; a line that was cut short by a crash, or is of a later version, is left out."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, JsonValue, TypeAdapter, ValidationError, with_config

from cwl_prefect.errors import InputError
from cwl_prefect.model.events import StepEvent
from cwl_prefect.model.names import without_indices
from cwl_prefect.model.usage import Execution, Tried, Usage
from cwl_prefect.reports.trace import TRACE, TRACE_VERSION, moment, read_lines

FINAL = frozenset({"succeeded", "cached", "skipped", "failed", "cancelled"})
RUNNING = "running"
"""State of a call that began and of whose end nothing is known, as where the run goes on or was killed."""
CANCELLED = "cancelled"
"""State of such a call where the run ended."""


@with_config(ConfigDict(extra="ignore"))
@dataclass(frozen=True, slots=True, kw_only=True)
class CallTry(Execution):
    """One try of a call, or a call that needed none; the members are those of the trace."""

    step: str
    call: str
    state: str
    at: float
    message: str | None = None
    number: int | None = None
    backend: str | None = None
    cores: float | None = None
    ram_mib: float | None = None
    prepared_at: float | None = None
    ready_at: float | None = None
    cpu_s: float | None = None
    peak_memory_mib: float | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    saved_s: float | None = None
    cost: float | None = None  # by prices that were given; in no trace

    @property
    def running_s(self) -> float | None:
        """Seconds that its command ran."""
        if self.started_at is None or self.ended_at is None:
            return None
        return max(0.0, self.ended_at - self.started_at)

    @property
    def average_cores(self) -> float | None:
        """How many cores it used on average."""
        running_s = self.running_s
        return None if self.cpu_s is None or not running_s else self.cpu_s / running_s


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSummary:
    """A step with all its calls; indices of enclosing scatters are left out."""

    step: str
    states: Mapping[str, int]
    tries: int
    running_s: float  # of all tries together
    cpu_s: float | None
    peak_memory_mib: float | None  # of the largest
    cores: float | None  # most that was asked for
    ram_mib: float | None
    saved_s: float
    cost: float | None = None  # of all tries whose cost is known


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A run, its tries in the order in which they ended, and what it began with."""

    started: Mapping[str, JsonValue]  # of its first driver
    began_at: float
    ended_at: float | None  # None: it goes on, or was killed
    state: str
    message: str | None
    outputs: JsonValue
    drivers: int
    tries: tuple[CallTry, ...]
    currency: str | None = None  # of costs; None: no prices were given

    @property
    def cost(self) -> float | None:
        """What all tries cost whose cost is known; None where it is of none."""
        return total(found.cost for found in self.tries)

    @property
    def calls(self) -> Mapping[str, CallTry]:
        """The last try of each call."""
        return {found.call: found for found in self.tries}

    @property
    def saved_s(self) -> float:
        """Seconds of work that cached calls saved, as long as the calls took that they repeat."""
        return sum(found.saved_s or 0.0 for found in self.tries)

    def steps(self) -> list[StepSummary]:
        """Return the steps in the order in which their first call ended."""
        tries: dict[str, list[CallTry]] = {}
        for found in self.tries:
            tries.setdefault(without_indices(found.step), []).append(found)
        return [_summary(step, group) for step, group in tries.items()]


def read_record(directory: Path) -> Record:
    """Read the trace of a run.

    Raises:
        InputError: There is none, or a later version of this package wrote it.
    """
    try:
        lines = list(read_lines(directory))
    except OSError as error:
        raise InputError(f"{directory} has no trace of a run: {error.strerror}.", hint=_HINT) from error
    started = [line for line in lines if line.get("event") == "run_started"]
    if not started:
        raise InputError(f"{directory / TRACE} is no trace of a run.", hint=_HINT)
    if started[-1].get("version") != TRACE_VERSION:
        raise InputError(f"{directory / TRACE} was written by another version of cwl-prefect.", hint=_HINT)
    last = lines[-1] if lines[-1].get("event") == "run_ended" else {}
    tries = tuple(_tries(lines))
    return Record(
        started=started[0],
        began_at=moment(started[0]),
        ended_at=moment(last) if last else None,
        state=str(last.get("state", RUNNING)),
        message=None if last.get("message") is None else str(last["message"]),
        outputs=last.get("outputs"),
        drivers=len(started),
        tries=(*tries, *_unended(lines, tries, state=CANCELLED if last else RUNNING)),
    )


_HINT = "runs are recorded where CWL_PREFECT_RECORD is not 0; `cwl-prefect runs ls` lists runs."
_TRY = TypeAdapter(CallTry)


def try_in(line: Mapping[str, JsonValue]) -> CallTry | None:
    """Return the try that a line tells of; None where it tells of none."""
    try:
        return _TRY.validate_python({**line, "number": line.get("try")})
    except ValidationError:
        return None


def try_of(event: StepEvent, at: float) -> CallTry:
    """Return the try that an event tells of.

    Args:
        event: It is about a call.
        at: When it happened, in seconds since 1970.
    """
    tried = {} if event.tried is None else members_of(event.tried)
    return CallTry(
        step=event.step,
        call=event.call or event.step,
        state=event.kind.value,
        at=at,
        message=event.message,
        saved_s=event.saved_s,
        **tried,
    )


def members_of(tried: Tried) -> dict[str, Any]:
    """Return what is known of a try by name; ``dataclasses.asdict`` would take twenty times as long."""
    return dict(zip(_MEMBERS, _values_of(tried), strict=True))


_OF_TRY = tuple(field.name for field in fields(Tried) if field.name != "usage")
_OF_USAGE = tuple(field.name for field in fields(Usage))
_MEMBERS = (*_OF_TRY, *_OF_USAGE)
_values_of = attrgetter(*_OF_TRY, *(f"usage.{name}" for name in _OF_USAGE))


def _tries(lines: list[dict[str, JsonValue]]) -> Iterator[CallTry]:
    ended = (try_in(line) for line in lines if line.get("event") == "call_ended")
    yield from (found for found in ended if found is not None)


def _unended(lines: list[dict[str, JsonValue]], tries: tuple[CallTry, ...], *, state: str) -> Iterator[CallTry]:
    """Yield the calls that began last time and of whose end nothing is known, in the state that follows from it."""
    ended = {found.call for found in tries if found.state in FINAL}
    began = {str(line.get("call")): line for line in lines if line.get("event") == "call_started"}
    for call, line in began.items():
        if call not in ended:
            at = moment(line)
            yield CallTry(step=str(line.get("step")), call=call, state=state, at=at, started_at=at)


def states_of(calls: Mapping[str, CallTry]) -> dict[str, int]:
    """Return how many of some calls are in each state, by their last tries."""
    return dict(Counter(call.state for call in calls.values()))


def counted(states: Mapping[str, int]) -> str:
    """Write how many calls are in each state, as ``3 succeeded, 1 failed``; empty where there are none."""
    return ", ".join(f"{count} {state}" for state, count in states.items())


def _summary(step: str, tries: list[CallTry]) -> StepSummary:
    return StepSummary(
        step=step,
        states=states_of({found.call: found for found in tries}),
        tries=len(tries),
        running_s=sum(found.running_s or 0.0 for found in tries),
        cpu_s=total(found.cpu_s for found in tries),
        peak_memory_mib=largest(found.peak_memory_mib for found in tries),
        cores=largest(found.cores for found in tries),
        ram_mib=largest(found.ram_mib for found in tries),
        saved_s=sum(found.saved_s or 0.0 for found in tries),
        cost=total(found.cost for found in tries),
    )


def largest(values: Iterable[float | None]) -> float | None:
    """Return the largest of what is known; None where nothing is."""
    return max((value for value in values if value is not None), default=None)


def total(values: Iterable[float | None]) -> float | None:
    """Return the sum of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
