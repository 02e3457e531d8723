"""The metrics of runs: how many calls there are in which state, how long they take, and what they use."""

import time
from collections import Counter

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from cwl_prefect import __version__
from cwl_prefect.model.events import RunEnded, RunObserver, RunStarted, StepEvent, StepEventKind
from cwl_prefect.model.names import without_indices
from cwl_prefect.model.usage import Tried

_MIB = 2**20


class Metrics(RunObserver):
    """Counts what happens in a run, and sends the counts.

    Args:
        event: How the run began.
        resource: What the metrics are from.
    """

    unit = "reports of metrics"

    def __init__(self, event: RunStarted, resource: Resource) -> None:
        self._exporter = _Exporter()
        reader = PeriodicExportingMetricReader(self._exporter)
        self._provider = MeterProvider((reader,), resource, shutdown_on_exit=False)
        meter = self._provider.get_meter("cwl_prefect", __version__)
        self._runs = meter.create_histogram("cwl.run.duration", "s", "How long runs took")
        self._calls = meter.create_counter("cwl.calls", "{call}", "Calls that ended, by state")
        self._queued = meter.create_up_down_counter("cwl.calls.queued", "{call}", "Calls that are planned and wait")
        self._active = meter.create_up_down_counter("cwl.calls.active", "{call}", "Calls that began and go on")
        self._retries = meter.create_counter("cwl.call.retries", "{try}", "Tries that failed before another")
        self._duration = meter.create_histogram("cwl.call.duration", "s", "How long commands ran")
        self._waiting = meter.create_histogram("cwl.call.waiting", "s", "How long tries waited for what they ask for")
        self._cpu = meter.create_counter("cwl.cpu.time", "s", "Seconds on a core that calls used")
        self._memory = meter.create_histogram("cwl.memory.peak", "By", "The most memory of tries")
        self._disk = meter.create_counter("cwl.disk.io", "By", "Bytes that calls read from disks and wrote")
        self._saved = meter.create_counter("cwl.cache.saved", "s", "Seconds that cached calls took before")
        self._began_s = event.began_s
        self._workflow = event.name if event.plan is None else event.plan.name
        self._planned: dict[str, int] = {}
        self._waits: Counter[str] = Counter()
        self._goes_on: Counter[str] = Counter()

    @property
    def lost(self) -> int:
        """How many reports the collector did not take."""
        return self._exporter.lost

    def step_planned(self, event: StepEvent) -> None:
        """Count the calls of a step that wait now; a loop plans again with every iteration."""
        count = event.count or 0
        self._wait(event.step, count - self._planned.get(event.step, 0))
        self._planned[event.step] = count

    def call_started(self, event: StepEvent) -> None:
        """Count a call that goes on; of a subworkflow its own steps count."""
        self._wait(event.step, -1)
        if not event.subworkflow:
            self._go_on(event.step, 1)

    def call_retrying(self, event: StepEvent) -> None:
        """Count a try that failed."""
        self._retries.add(1, self._about(event.step))
        if event.tried is not None:
            self._add(event.step, event.tried)

    def call_ended(self, event: StepEvent) -> None:
        """Count a call that ended, and what it used."""
        if event.subworkflow:
            return
        if self._goes_on[event.step] and event.kind in (StepEventKind.SUCCEEDED, StepEventKind.FAILED):
            self._go_on(event.step, -1)
        else:
            self._wait(event.step, -1)
        self._calls.add(1, {**self._about(event.step), "cwl.state": event.kind.value})
        if event.saved_s:
            self._saved.add(event.saved_s, self._about(event.step))
        if event.tried is not None:
            self._add(event.step, event.tried)

    def run_ended(self, event: RunEnded) -> None:
        """Note how long the run took; nothing waits or goes on any more."""
        for step, count in self._waits.items():
            self._queued.add(-count, self._about(step))
        for step, count in self._goes_on.items():
            self._active.add(-count, self._about(step))
        about = {"cwl.workflow": self._workflow, "cwl.state": event.state.value}
        self._runs.record(time.time() - self._began_s, about)

    def close(self) -> None:
        """Send what is not sent yet; blocks."""
        self._provider.shutdown()

    def _wait(self, step: str, more: int) -> None:
        self._queued.add(more, self._about(step))
        self._waits[step] += more

    def _go_on(self, step: str, more: int) -> None:
        self._active.add(more, self._about(step))
        self._goes_on[step] += more

    def _add(self, step: str, tried: Tried) -> None:
        about, usage = self._about(step), tried.usage
        self._waiting.record(max(0.0, tried.ready_at - tried.prepared_at), about)
        if tried.started_at is not None and tried.ended_at is not None:
            self._duration.record(max(0.0, tried.ended_at - tried.started_at), about)
        if usage.cpu_s is not None:
            self._cpu.add(usage.cpu_s, about)
        if usage.peak_memory_mib is not None:
            self._memory.record(usage.peak_memory_mib * _MIB, about)
        for direction, size in (("read", usage.read_bytes), ("write", usage.written_bytes)):
            if size:
                self._disk.add(size, {**about, "disk.io.direction": direction})

    def _about(self, step: str) -> dict[str, str]:
        return {"cwl.workflow": self._workflow, "cwl.step": without_indices(step)}


class _Exporter(OTLPMetricExporter):
    """Counts what was not taken."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = 0

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **kwargs: object
    ) -> MetricExportResult:
        """Send metrics."""
        result = super().export(metrics_data, timeout_millis, **kwargs)
        self.lost += result is not MetricExportResult.SUCCESS
        return result
