"""Progress of a run on standard error: a live table on a terminal, plain lines elsewhere.

Events only change counters, so that thousands of calls cost the run nothing; drawing happens a few times a second.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, TextIO

from cwl_prefect.cli.json_lines import JsonLines
from cwl_prefect.cli.terminal import printable
from cwl_prefect.model.events import Observer, RunEnded, RunEvent, RunStarted, StepEvent, StepEventKind
from cwl_prefect.reports.tally import ENDINGS, StepCounts, Tally

if TYPE_CHECKING:
    from rich.console import Group

REFRESHES_PER_SECOND = 4
LINE_INTERVAL_S = 10.0
SHOWN_FAILURES = 5
SHOWN_STEPS = 20

TROUBLES = frozenset({StepEventKind.FAILED, StepEventKind.RETRYING})


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
        title = Text(self._title(), style="italic", no_wrap=True, overflow="ignore")
        return Group(title, table) if steps else Group(title)

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
    *,
    quiet: bool = False,
    verbose: bool = False,
    opened: Callable[[str], str] = str,
    lines: JsonLines | None = None,
    clock: Callable[[], float] = monotonic,
) -> Iterator[Observer]:
    """Show a run's progress on standard error while the context lasts; the observer is to be told its events.

    Args:
        quiet: Show nothing.
        verbose: Write lines, also for every call.
        opened: Returns where the page of the run opens logged in, which only a terminal is shown.
        lines: Write lines of JSON.
        clock: Tells how late it is in the run.
    """
    if quiet:
        yield lambda _: None
    elif lines is not None:
        yield lines
    elif not sys.stderr.isatty():
        yield PlainLines(sys.stderr, every_call=verbose, clock=clock).observe
    elif verbose:
        yield _linked(PlainLines(sys.stderr, every_call=True, clock=clock).observe, opened)
    else:
        with _live(clock) as observer:
            yield _linked(observer, opened)


def _linked(observer: Observer, opened: Callable[[str], str]) -> Observer:
    def observe(event: RunEvent) -> None:
        """Show an event, with the page of the run as it opens."""
        if isinstance(event, RunStarted) and event.url is not None:
            event = replace(event, url=opened(event.url))
        observer(event)

    return observe


@contextmanager
def _live(clock: Callable[[], float]) -> Iterator[Observer]:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    tally = Tally(clock)
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
