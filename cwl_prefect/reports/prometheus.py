"""The last run of each workflow as a file for the textfile collector of Prometheus's node_exporter."""

import asyncio
import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from cwl_prefect._lib.cancellation import cancel_and_wait
from cwl_prefect.model.events import RunEnded, RunEvent, RunObserver, RunStarted, StepEvent
from cwl_prefect.model.names import without_indices
from cwl_prefect.reports.tally import ENDINGS, StepCounts, Tally

_PAUSE_S = 10.0
_MIB = 2**20
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]+")

_logger = logging.getLogger(__name__)


class Prometheus(RunObserver):
    """Writes a file of a run's workflow when the run begins, every ten seconds, and when it ends.

    The file is named after the workflow, so that there is one for each, of the run that wrote last.
    """

    def __init__(self) -> None:
        self._path: Path | None = None  # None: not begun, or it cannot be written
        self._workflow = ""
        self._state = "running"
        self._began_s = time.time()
        self._ended_s: float | None = None
        self._tally = Tally()
        self._cpu_s: dict[str, float] = {}
        self._peak_mib: dict[str, float] = {}
        self._writing: asyncio.Task[None] | None = None

    def __call__(self, event: RunEvent) -> None:
        """Count an event."""
        self._tally.observe(event)
        super().__call__(event)

    def run_started(self, event: RunStarted) -> None:
        """Begin the file."""
        if event.settings is None or event.settings.prometheus_directory is None:
            return
        self._workflow = event.name if event.plan is None else event.plan.name
        self._began_s = event.began_s
        name = _NO_NAME.sub("-", self._workflow)[:100]
        self._path = event.settings.prometheus_directory / f"cwl-prefect-{name}.prom"
        self._writing = asyncio.create_task(self._keep())

    def call_retrying(self, event: StepEvent) -> None:
        """Count what a try used that failed."""
        self._use(event)

    def call_ended(self, event: StepEvent) -> None:
        """Count what a call used."""
        self._use(event)

    def run_ended(self, event: RunEnded) -> None:
        """Note how the run ended."""
        self._state, self._ended_s = event.state.value, time.time()

    async def aclose(self) -> None:
        """Write how the run ended."""
        if self._writing is not None:
            await cancel_and_wait(self._writing)
        await self._write()

    def _use(self, event: StepEvent) -> None:
        if event.tried is None:
            return
        step, usage = without_indices(event.step), event.tried.usage
        if usage.cpu_s is not None:
            self._cpu_s[step] = self._cpu_s.get(step, 0.0) + usage.cpu_s
        if usage.peak_memory_mib is not None:
            self._peak_mib[step] = max(self._peak_mib.get(step, 0.0), usage.peak_memory_mib)

    async def _keep(self) -> None:
        while True:
            await self._write()
            await asyncio.sleep(_PAUSE_S)

    async def _write(self) -> None:
        if self._path is None:
            return
        try:
            await asyncio.to_thread(write_to_textfile, str(self._path), self._registry())
        except OSError as error:
            _logger.warning("metrics cannot be written to %s: %s", self._path, error.strerror)
            self._path = None

    def _by_state(self, steps: Sequence[StepCounts]) -> Iterator[tuple[str, str, int]]:
        """Yield how many calls of each step are in a state; nothing waits or runs after the end of the run."""
        goes_on = self._ended_s is None
        for counts in steps:
            yield counts.name, "waiting", counts.waiting * goes_on
            yield counts.name, "running", counts.running * goes_on
            yield from ((counts.name, how, getattr(counts, how)) for how in ENDINGS if getattr(counts, how))

    def _registry(self) -> CollectorRegistry:
        """Return the metrics as they are now."""
        found = CollectorRegistry()
        workflow = ("workflow",)
        state = Gauge("cwl_prefect_run_state", "1 of the state of the last run", (*workflow, "state"), registry=found)
        state.labels(self._workflow, self._state).set(1)
        began = Gauge("cwl_prefect_run_start_time_seconds", "When the last run began", workflow, registry=found)
        began.labels(self._workflow).set(self._began_s)
        if self._ended_s is not None:
            ended = Gauge("cwl_prefect_run_end_time_seconds", "When the last run ended", workflow, registry=found)
            ended.labels(self._workflow).set(self._ended_s)
        calls = Gauge("cwl_prefect_calls", "Calls by state", (*workflow, "step", "state"), registry=found)
        steps = self._tally.own_steps()
        for step, how, count in self._by_state(steps):
            calls.labels(self._workflow, step, how).set(count)
        of_steps: Mapping[tuple[str, str], Mapping[str, float]] = {
            ("cwl_prefect_retries", "Tries that failed before another"): {
                c.name: c.retried for c in steps if c.retried
            },
            ("cwl_prefect_cpu_seconds", "Seconds on a core"): self._cpu_s,
            ("cwl_prefect_memory_peak_bytes", "Most memory"): {s: mib * _MIB for s, mib in self._peak_mib.items()},
        }
        for (name, description), values in of_steps.items():
            gauge = Gauge(name, f"{description} of a step's calls", (*workflow, "step"), registry=found)
            for step, value in values.items():
                gauge.labels(self._workflow, step).set(value)
        return found
