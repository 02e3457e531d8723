"""What is said at the end of a run: where the results are, how long it took, what the cache saved, what was largest."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic

from cwl_prefect._lib.destinations import Destination
from cwl_prefect.model.events import RunEnded, RunObserver, RunStarted, RunState, StepEvent, StepEventKind
from cwl_prefect.model.names import without_indices
from cwl_prefect.model.values import CwlObject, file_objects
from cwl_prefect.settings import Keep

LARGEST = 3
_SHORTEST_S = 1.0
"""Steps that took less are not worth a word."""


@dataclass(slots=True)
class _Step:
    running_s: float = 0.0
    peak_memory_mib: float | None = None


class Ending(RunObserver):
    """Adds up what is said at the end of a run.

    Args:
        outdir: Where its results go.

    Attributes:
        flow_run_id: Of the run; None where it has not started.
    """

    def __init__(self, outdir: Destination) -> None:
        self.flow_run_id: str | None = None
        self._outdir = outdir
        self._began_s = monotonic()
        self._steps: dict[str, _Step] = {}
        self._cached = 0
        self._saved_s = 0.0
        self._outputs: CwlObject | None = None
        self._run: RunStarted | None = None
        self._ended_well = 0
        self._failed: str | None = None
        self._state: RunState | None = None

    def run_started(self, event: RunStarted) -> None:
        """Note which run it is, and where its results go, whose name may have the run's."""
        self.flow_run_id, self._run = event.flow_run_id, event
        self._outdir = event.outdir or self._outdir

    def call_retrying(self, event: StepEvent) -> None:
        """Add up what a try used."""
        self.call_ended(event)

    def call_ended(self, event: StepEvent) -> None:
        """Add up what a call used, or saved."""
        if event.kind in (StepEventKind.CACHED, StepEventKind.SUCCEEDED) and not event.subworkflow:
            self._ended_well += 1
        if event.kind is StepEventKind.CACHED:
            self._cached += 1
            self._saved_s += event.saved_s or 0.0
        if event.kind is StepEventKind.FAILED and not event.subworkflow and event.tried is not None:
            self._failed = self._failed or event.call
        tried = event.tried
        if tried is None or tried.started_at is None or tried.ended_at is None:
            return
        step = self._steps.setdefault(without_indices(event.step), _Step())
        step.running_s += tried.ended_at - tried.started_at
        peak = tried.usage.peak_memory_mib
        if peak is not None:
            step.peak_memory_mib = max(peak, step.peak_memory_mib or 0.0)

    def run_ended(self, event: RunEnded) -> None:
        """Note the results, and how the run ended."""
        self._outputs, self._state = event.outputs, event.state

    def lines(self) -> Iterator[str]:
        """Yield what is to be said."""
        took = f"{monotonic() - self._began_s:.1f} s"
        files = any(True for _ in file_objects(self._outputs or {}))
        yield f"Took {took}; the results are in {self._outdir}" if files else f"Took {took}"
        if self._cached:
            calls = "1 call" if self._cached == 1 else f"{self._cached} calls"
            yield f"The cache had {calls}, which took {self._saved_s:.1f} s before"
        steps = sorted(self._steps.items(), key=lambda pair: pair[1].running_s, reverse=True)
        largest = [_described(name, step) for name, step in steps[:LARGEST] if step.running_s >= _SHORTEST_S]
        if largest:
            yield f"Largest steps: {'; '.join(largest)}"
        yield from self._going_on()

    def _going_on(self) -> Iterator[str]:
        """Yield how to go on with a run that did not end well, and what that will reuse."""
        run = self._run
        if self._state in (None, RunState.SUCCEEDED) or run is None or run.settings is None:
            return
        if run.settings.keep is Keep.NEVER:
            return
        reused = "" if run.settings.cache else "; without the cache all calls run again"
        if run.settings.cache and self._ended_well:
            calls = "1 call" if self._ended_well == 1 else f"{self._ended_well} calls"
            reused = f"; {calls} that ended well will be reused"
        name = shlex.quote(run.name)
        if self._failed is not None and run.settings.record:
            yield f"Look into it with: cwl-prefect runs rerun {name} {shlex.quote(self._failed)} --shell"
        yield f"Go on with: cwl-prefect runs resume {name}{reused}"


def _described(name: str, step: _Step) -> str:
    memory = "" if step.peak_memory_mib is None else f", {step.peak_memory_mib:.0f} MiB"
    return f"{name} {step.running_s:.1f} s{memory}"
