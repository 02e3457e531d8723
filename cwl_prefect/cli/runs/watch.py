"""The command ``runs watch``: the progress of a run that another process drives, here or elsewhere."""

import asyncio
import shlex
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cwl_prefect.cli.exit_codes import SUCCESS, exit_code_of
from cwl_prefect.cli.run.progress import shown_progress
from cwl_prefect.cli.runs.listing import posting
from cwl_prefect.cli.terminal import complain
from cwl_prefect.errors import CwlPrefectError, InterruptedRunError, PartialRunError
from cwl_prefect.model.events import RunEnded, RunEvent, RunStarted, RunState
from cwl_prefect.model.plan import WorkflowPlan, decode_plan
from cwl_prefect.reports.trace import PLAN, TRACE, TraceReader, event_of, moment
from cwl_prefect.runs import listing, records
from cwl_prefect.runs.known_run import KILLED
from cwl_prefect.runs.listing import Line
from cwl_prefect.runs.records import StepRecord
from cwl_prefect.runs.watching import events_between
from cwl_prefect.server.client import Post
from cwl_prefect.settings import Settings

LOOK_S = 1.0
"""Seconds between two looks."""

_TOLD_S = 5.0  # an event about the end of a run comes so much later at most
_ENDS = {"COMPLETED": RunState.SUCCEEDED, "CANCELLED": RunState.CANCELLED}


def watch(run: str) -> int:
    """Show the progress of a run until it ends, and return its exit code.

    Raises:
        InputError: There is no such run.
        ServerError: No Prefect API can be reached or started.
    """
    name = run

    async def follow(post: Post, settings: Settings) -> int:
        """Find the run and watch it."""
        nonlocal name
        line = await listing.find(records.asking(post), run, settings)
        name = line.flow_run.name
        return await _watched(post, line, settings)

    try:
        return posting(follow)
    except KeyboardInterrupt:
        complain(f"The run {name} goes on. To watch it again: cwl-prefect runs watch {shlex.quote(name)}")
        return InterruptedRunError.exit_code


async def _watched(post: Post, line: Line, settings: Settings) -> int:
    """Show what happens in a run until it ends, and return its exit code."""
    run, ask, clock = line.flow_run, records.asking(post), _Clock()
    if line.state == "Scheduled":
        complain(f"{run.name} is scheduled: it waits for its time, or for a worker.")
    if run.start_time is not None:
        clock.past_s = run.start_time.timestamp()
    source, last = None, None
    with shown_progress(clock=clock) as observer:
        while True:
            ended = listing.has_ended(line) or line.state == KILLED
            if source is None and (ended or run.start_time is not None):
                source = _source(post, line, settings)
            over_s = None if run.end_time is None else run.end_time.timestamp()
            for at, event in [] if source is None else await source.news():
                clock.past_s, last = at or over_s, event
                observer(event)
            clock.past_s = over_s
            if ended:
                break
            await asyncio.sleep(LOOK_S)
            line = await listing.find(ask, str(run.id), settings)
            run = line.flow_run
        end = last if isinstance(last, RunEnded) else _end(line)
        if end is not last:
            observer(end)
    return await _exit_code(post, line, end)


@dataclass(slots=True)
class _Clock:
    """Tells the moment of what is shown: one of the past, or now."""

    past_s: float | None = None

    def __call__(self) -> float:
        """Return seconds since 1970."""
        return time.time() if self.past_s is None else self.past_s


class _Source(Protocol):
    """Tells what happened in a run."""

    async def news(self) -> list[tuple[float | None, RunEvent]]:
        """Return what happened since it was asked last, each with its moment, or None for now."""


def _source(post: Post, line: Line, settings: Settings) -> _Source:
    directory = settings.reports / str(line.flow_run.id)
    return _Recorded(directory) if (directory / TRACE).exists() else _Told(post, line)


class _Recorded:
    """What the driver records on this machine."""

    def __init__(self, directory: Path) -> None:
        self._trace = TraceReader(directory)
        self._plan = _plan(directory)

    async def news(self) -> list[tuple[float | None, RunEvent]]:
        """Read what is new in the trace; of a run that was resumed what its last driver tells."""
        lines = await asyncio.to_thread(lambda: list(self._trace.new_lines()))
        drivers = [place for place, line in enumerate(lines) if line.get("event") == "run_started"]
        told = ((moment(line), event_of(line, self._plan)) for line in lines[drivers[-1] if drivers else 0 :])
        return [(at, event) for at, event in told if event is not None]


def _plan(directory: Path) -> WorkflowPlan | None:
    try:
        return decode_plan((directory / PLAN).read_bytes())
    except (OSError, ValueError):
        return None  # steps are shown as they begin


@dataclass(slots=True)
class _Told:
    """What the driver tells the API."""

    post: Post
    line: Line
    steps: list[StepRecord] = field(default_factory=list)
    begun: bool = False

    async def news(self) -> list[tuple[float | None, RunEvent]]:
        """Ask for the table of steps that the driver keeps up to date."""
        run, before = self.line.flow_run, self.steps
        self.steps = await records.steps_told(self.post, str(run.id)) or before
        news: list[RunEvent] = list(events_between(before, self.steps))
        if not self.begun:
            news.insert(0, RunStarted(flow_run_id=str(run.id), name=run.name, url=None))
            self.begun = True
        return [(None, event) for event in news]


def _end(line: Line) -> RunEnded:
    """Return how a run ended whose driver did not record it."""
    state = line.flow_run.state
    kind = RunState.FAILED if state is None or line.state == KILLED else _ENDS.get(state.type, RunState.FAILED)
    return RunEnded(state=kind, message=listing.message_of(line), outputs={})


async def _exit_code(post: Post, line: Line, end: RunEnded) -> int:
    """Return the exit code of a run, and say how it ended and what to do now."""
    name = shlex.quote(line.flow_run.name)
    if end.state is RunState.SUCCEEDED:
        complain(f"Its outputs: cwl-prefect runs outputs {name}")
        return SUCCESS
    complain(f"{line.flow_run.name} is {line.state}{f': {end.message}' if end.message else '.'}")
    complain(f"Go on with: cwl-prefect runs resume {name}")
    if end.state is RunState.CANCELLED:
        return InterruptedRunError.exit_code
    if line.state == "Partial":
        return PartialRunError.exit_code
    return CwlPrefectError.exit_code if line.state == KILLED else await _failure(post, str(line.flow_run.id))


async def _failure(post: Post, run_id: str) -> int:
    """Return the exit code of what ended a run, which its driver tells the API a little later than that it ended."""
    for _ in range(round(_TOLD_S / LOOK_S)):
        found = await records.failure_told(post, run_id)
        if found is not None:
            return exit_code_of(found)
        await asyncio.sleep(LOOK_S)
    return CwlPrefectError.exit_code
