"""The files of a trace, its lines, and the events that they tell of."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import JsonValue

from cwl_prefect.model.events import RunEnded, RunEvent, RunStarted, RunState, StepEvent, StepEventKind
from cwl_prefect.model.json_text import loads
from cwl_prefect.model.plan import WorkflowPlan

TRACE = "trace.jsonl"
TRACE_VERSION = 1
"""Version of the lines of a trace; members may be added to them without a new one."""

PLAN = "plan.json"
"""What the run runs, beside its trace."""

Line = Mapping[str, JsonValue]


def read_lines(directory: Path) -> Iterator[dict[str, JsonValue]]:
    """Yield the lines of a trace that are whole.

    Raises:
        OSError: It cannot be read.
    """
    return TraceReader(directory).new_lines()


class TraceReader:
    """Reads a trace that grows, piece by piece."""

    def __init__(self, directory: Path) -> None:
        """Read the trace in a directory, from its beginning."""
        self._path = directory / TRACE
        self._read = 0

    def new_lines(self) -> Iterator[dict[str, JsonValue]]:
        """Yield the lines that are whole and were not there before.

        Raises:
            OSError: It cannot be read.
        """
        with self._path.open("rb") as stream:
            stream.seek(self._read)
            for line in stream:
                if not line.endswith(b"\n"):
                    return
                self._read += len(line)
                try:
                    found = loads(line)
                except ValueError:
                    continue
                if isinstance(found, dict):
                    yield found


def event_of(line: Line, plan: WorkflowPlan | None) -> RunEvent | None:
    """Return the event that a line tells of, as far as displays need it; None where it tells of none.

    Args:
        line: The line.
        plan: What the run runs, where it is known.
    """
    try:
        match line.get("event"):
            case "run_started":
                return RunStarted(
                    flow_run_id=str(line["run"]),
                    name=str(line["name"]),
                    url=_text(line.get("url")),
                    resumed=line.get("resumed") is True,
                    began_s=moment(line, "began_at"),
                    plan=plan,
                )
            case "run_ended":
                return RunEnded(state=RunState(str(line["state"])), message=_text(line.get("message")), outputs={})
            case name:
                return _step_event(str(name), line)
    except (LookupError, ValueError):
        return None


def moment(line: Line, member: str = "at") -> float:
    """Return a moment of a line, in seconds since 1970; 0 where there is none."""
    found = line.get(member)
    return float(found) if isinstance(found, int | float) else 0.0


def _step_event(name: str, line: Line) -> StepEvent | None:
    what, _, happened = name.partition("_")
    if what not in ("step", "call", "subworkflow") or name == "step_ended":
        return None
    count = line.get("count")
    return StepEvent(
        kind=StepEventKind(str(line["state"]) if happened == "ended" else happened),
        step=str(line["step"]),
        call=_text(line.get("call")),
        count=count if isinstance(count, int) else None,
        message=_text(line.get("message")),
        subworkflow=what == "subworkflow",
    )


def _text(value: JsonValue) -> str | None:
    return None if value is None else str(value)
