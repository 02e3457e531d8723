"""Progress of a run on standard error: a live table on a terminal, plain lines elsewhere.

Events only change counters, so that thousands of calls cost the run nothing; drawing happens a few times a second.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import TYPE_CHECKING, TextIO

from cwl_prefect.cli.json_lines import JsonLines
from cwl_prefect.cli.terminal import printable
from cwl_prefect.model.events import Observer, RunEnded, RunEvent, RunStarted, StepEvent, StepEventKind
from cwl_prefect.model.names import without_indices
from cwl_prefect.model.plan import WorkflowPlan

if TYPE_CHECKING:
    from rich.console import Group

REFRESHES_PER_SECOND = 4
LINE_INTERVAL_S = 10.0
SHOWN_FAILURES = 5
SHOWN_STEPS = 20

TROUBLES = frozenset({StepEventKind.FAILED, StepEventKind.RETRYING})
ENDINGS = frozenset(
    {
        StepEventKind.SUCCEEDED,
        StepEventKind.CACHED,
        StepEventKind.SKIPPED,
        StepEventKind.FAILED,
        StepEventKind.CANCELLED,
    }
)


@dataclass(slots=True)
class StepCounts:
    """How far one step is."""

    name: str
    began_at: float | None = None  # None: it is still to come
    subworkflow: bool = False  # whose own steps are counted too
    planned: int = 0
    started: int = 0
    ended: int = 0
    succeeded: int = 0
    cached: int = 0
    skipped: int = 0
    failed: int = 0
    cancelled: int = 0
    retried: int = 0
    ended_at: float | None = None

    @property
    def total(self) -> int:
        """Calls known so far."""
        return max(self.planned, self.started, self.ended)

    @property
    def running(self) -> int:
        """Calls at work now."""
        return max(self.started - self.succeeded - self.failed - self.cancelled, 0)

    @property
    def waiting(self) -> int:
        """Calls that are known and have not begun."""
        return max(self.total - self.ended - self.running, 0)

    @property
    def done(self) -> bool:
        """Whether every known call ended."""
        return self.began_at is not None and self.ended >= self.total

    def left_s(self, now: float) -> float | None:
        """Return in how many seconds it is done if it goes on as so far; None where nobody can tell yet."""
        if self.done:
            return 0.0
        if self.began_at is None or not self.succeeded:
            return None
        return (now - self.began_at) / self.ended * (self.total - self.ended)

    def summary(self) -> str:
        """Return what became of the calls."""
        words = {
            "done": self.succeeded,
            "cached": self.cached,
            "skipped": self.skipped,
            "failed": self.failed,
            "cancelled": self.cancelled,
        }
        told = ", ".join(f"{count} {word}" for word, count in words.items() if count)
        return told or "nothing to do"


_ADDED = ("started", "ended", "succeeded", "cached", "skipped", "failed", "cancelled", "retried")


@dataclass(slots=True)
class Tally:
    """Counts every event of a run."""

    clock: Callable[[], float] = monotonic
    steps: dict[str, StepCounts] = field(default_factory=dict)  # indices of enclosing scatters are left out
    planned: dict[str, int] = field(default_factory=dict)
    began_at: float = field(init=False)
    run: RunStarted | None = None

    def __post_init__(self) -> None:
        self.began_at = self.clock()

    def observe(self, event: RunEvent) -> StepCounts | None:
        """Count one event, and give the step it changed."""
        if isinstance(event, RunStarted):
            self.run = event
            self._expect(event.plan)
        if not isinstance(event, StepEvent):
            return None
        name = without_indices(event.step)
        counts = self.steps.get(name)
        if counts is None:
            counts = self.steps[name] = StepCounts(name, subworkflow=event.subworkflow)
        if counts.began_at is None:
            counts.began_at = self.clock()
        self._count(counts, event)
        return counts

    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return self.clock() - self.began_at

    def calls(self) -> StepCounts:
        """Add up the calls of all steps that run something themselves."""
        own = [counts for counts in self.steps.values() if not counts.subworkflow]
        added = {name: sum(getattr(counts, name) for counts in own) for name in _ADDED}
        planned = sum(counts.total for counts in own)
        return StepCounts("total", self.began_at, **{**added, "planned": planned})

    def left_s(self) -> float | None:
        """Return in how many seconds all is done if it goes on as so far; None where nobody can tell yet."""
        left = [counts.left_s(self.clock()) for counts in self.steps.values() if not counts.subworkflow]
        known = [seconds for seconds in left if seconds is not None]
        return max(known, default=None) if len(known) == len(left) else None

    def _expect(self, plan: WorkflowPlan | None, prefix: str = "") -> None:
        """Make room for the steps that are to come, in the order of the document."""
        for step in () if plan is None else plan.steps:
            name, inner = f"{prefix}{step.id}", step.run if isinstance(step.run, WorkflowPlan) else None
            self.steps.setdefault(name, StepCounts(name, subworkflow=inner is not None))
            self._expect(inner, f"{name}.")

    def _count(self, counts: StepCounts, event: StepEvent) -> None:
        match event.kind:
            case StepEventKind.PLANNED:
                known = self.planned.get(event.step, 0)
                self.planned[event.step] = max(known, event.count or 0)  # a loop plans again with every iteration
                counts.planned += self.planned[event.step] - known
            case StepEventKind.STARTED:
                counts.started += 1
            case StepEventKind.RETRYING:
                counts.retried += 1
            case StepEventKind.SUCCEEDED:
                counts.succeeded += 1
            case StepEventKind.CACHED:
                counts.cached += 1
            case StepEventKind.SKIPPED:
                counts.skipped += 1
            case StepEventKind.FAILED:
                counts.failed += 1
            case StepEventKind.CANCELLED:
                counts.cancelled += 1
        if event.kind in ENDINGS:
            counts.ended += 1
            counts.ended_at = self.clock()


class PlainLines:
    """Writes what happened as lines: steps, failures, and now and then how far a wide step is."""

    def __init__(self, stream: TextIO, *, every_call: bool = False, clock: Callable[[], float] = monotonic) -> None:
        """Write to ``stream``; ``every_call`` adds a line when a call starts and when it ends."""
        self._stream = stream
        self._every_call = every_call
        self._clock = clock
        self.tally = Tally(clock)
        self._told_at = self.tally.began_at

    def observe(self, event: RunEvent) -> None:
        """Count an event and write the lines it calls for."""
        counts = self.tally.observe(event)
        if isinstance(event, RunStarted):
            self._line(f"run {event.name}: {event.url or event.flow_run_id}")
        if isinstance(event, RunEnded):
            self._line(_last_line(self.tally, event))
        if counts is None or not isinstance(event, StepEvent):
            return
        line = self._line_for(event, counts)
        if line is not None:
            self._told_at = self._clock()
            self._line(line)

    def _line_for(self, event: StepEvent, counts: StepCounts) -> str | None:
        now = self._clock()
        if event.kind in TROUBLES and counts.failed <= SHOWN_FAILURES:
            name = event.call or event.step
            said = _first_line(event.message or "").removeprefix(f"{name}: ").removeprefix(f"{name} failed: ")
            return f"{name} {event.kind}: {said}".rstrip(": ")
        if event.kind in ENDINGS and counts.done:
            return f"{counts.name}: {counts.summary()} in {now - (counts.began_at or now):.1f} s"
        if event.kind is StepEventKind.PLANNED:
            return f"{event.step}: {event.count} calls" if event.count != 1 else None
        if self._every_call or counts.total == 1:
            return f"{event.call or event.step} {event.kind}"
        if now - self._told_at >= LINE_INTERVAL_S:
            return f"{counts.name}: {counts.ended} of {counts.total}, {counts.running} running{_left(self.tally)}"
        return None

    def _line(self, text: str) -> None:
        try:
            self._stream.write(f"[{self.tally.elapsed_s():7.1f} s] {printable(text)}\n")
            self._stream.flush()
        except (OSError, ValueError):
            return  # nobody reads it; the run goes on


class LiveTable:
    """Draws one row per step, the busiest first, where there are more than fit."""

    def __init__(self, tally: Tally) -> None:
        """Show what ``tally`` counts."""
        self.tally = tally

    def __rich__(self) -> "Group":
        """Draw the table as of now."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False)
        table.add_column("step", no_wrap=True, overflow="ellipsis", max_width=48)
        for column in ("done", "cached", "running", "waiting", "failed", "skipped", "elapsed"):
            table.add_column(column, justify="right", no_wrap=True)
        steps = list(self.tally.steps.values())
        shown = steps if len(steps) <= SHOWN_STEPS else sorted(steps, key=_urgency)[:SHOWN_STEPS]
        for counts in shown:
            table.add_row(*self._row(counts), style=_style(counts))
        if len(shown) < len(steps):
            table.add_row(f"… {len(steps) - len(shown)} more steps", style="dim")
        if len(steps) > 1:
            table.add_row(*self._row(self.tally.calls()), style="bold")
        return Group(Text(self._title(), style="italic", no_wrap=True, overflow="ignore"), table)

    def _title(self) -> str:
        run = self.tally.run
        what = "waiting for the Prefect API" if run is None else f"{printable(run.name)}{_left(self.tally)}"
        return f"{_duration(self.tally.elapsed_s())} {what}"

    def _row(self, counts: StepCounts) -> tuple[str, ...]:
        end = counts.ended_at if counts.done and counts.ended_at is not None else self.tally.clock()
        if counts.began_at is None:
            return (printable(counts.name).replace("[", "\\["),)
        return (
            printable(counts.name).replace("[", "\\["),
            f"{counts.succeeded + counts.cached}/{counts.total}",
            str(counts.cached or ""),
            str(counts.running or ""),
            str(counts.waiting or ""),
            str(counts.failed or ""),
            str(counts.skipped or ""),
            _duration(end - counts.began_at),
        )


@contextmanager
def shown_progress(
    *, quiet: bool = False, verbose: bool = False, opened: Callable[[str], str] = str, lines: JsonLines | None = None
) -> Iterator[Observer]:
    """Show a run's progress on standard error while the context lasts; the observer is to be told its events.

    Args:
        quiet: Show nothing.
        verbose: Write lines, also for every call.
        opened: Returns where the page of the run opens logged in, which only a terminal is shown.
        lines: Write lines of JSON.
    """
    if quiet:
        yield lambda _: None
    elif lines is not None:
        yield lines
    elif not sys.stderr.isatty():
        yield PlainLines(sys.stderr, every_call=verbose).observe
    elif verbose:
        yield _linked(PlainLines(sys.stderr, every_call=True).observe, opened)
    else:
        with _live() as observer:
            yield _linked(observer, opened)


def _linked(observer: Observer, opened: Callable[[str], str]) -> Observer:
    def observe(event: RunEvent) -> None:
        """Show an event, with the page of the run as it opens."""
        if isinstance(event, RunStarted) and event.url is not None:
            event = replace(event, url=opened(event.url))
        observer(event)

    return observe


@contextmanager
def _live() -> Iterator[Observer]:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    tally = Tally()
    table = LiveTable(tally)
    console = Console(stderr=True)
    with Live(table, console=console, refresh_per_second=REFRESHES_PER_SECOND, redirect_stdout=False) as live:

        def observe(event: RunEvent) -> None:
            """Count an event; the table looks at the tally by itself, and the page is told once, above it."""
            tally.observe(event)
            if isinstance(event, RunStarted) and event.url is not None:
                console.print(Text(printable(event.url), style=f"link {event.url}"), soft_wrap=True)

        yield observe
        live.update(table, refresh=True)


def _last_line(tally: Tally, event: RunEnded) -> str:
    calls, name = tally.calls(), "" if tally.run is None else tally.run.name
    return f"run {name} {event.state}: {calls.summary()}"


def _left(tally: Tally) -> str:
    left_s = tally.left_s()
    return f", about {_duration(left_s)} left" if left_s else ""


def _urgency(counts: StepCounts) -> tuple[bool, bool, float]:
    return (counts.failed == 0, counts.running == 0, -(counts.ended_at or counts.began_at or 0.0))


def _style(counts: StepCounts) -> str:
    if counts.failed:
        return "red"
    return "dim" if counts.done or counts.began_at is None else ""


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else ""
