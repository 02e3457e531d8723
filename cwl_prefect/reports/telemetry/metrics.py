"""The metrics of runs: how many calls there are in which state, how long they take, and what they use."""

import time
from collections.abc import Iterator
from functools import partial
from typing import TypeAlias

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from cwl_prefect import __version__
from cwl_prefect.model.events import RunEnded, RunObserver, RunStarted, StepEvent, StepEventKind
from cwl_prefect.model.names import without_indices

_MIB = 2**20
_QUEUED, _ACTIVE = "cwl.calls.queued", "cwl.calls.active"
_COUNTERS = {
    "cwl.calls": ("{call}", "Calls that ended, by state"),
    "cwl.call.retries": ("{try}", "Tries that failed before another"),
    "cwl.cpu.time": ("s", "Seconds on a core that calls used"),
    "cwl.disk.io": ("By", "Bytes that calls read from disks and wrote"),
    "cwl.cache.saved": ("s", "Seconds that cached calls took before"),
}
_LEVELS = {_QUEUED: "Calls that are planned and wait", _ACTIVE: "Calls that began and go on"}

_Key: TypeAlias = tuple[tuple[str, str], ...]


class Metrics(RunObserver):
    """Counts what happens in a run, and sends the counts every now and then.

    Args:
        event: How the run began.
        resource: What the metrics are from.
    """

    unit = "reports of metrics"

    def __init__(self, event: RunStarted, resource: Resource) -> None:
        self._exporter = _Exporter()
        reader = PeriodicExportingMetricReader(self._exporter)
        self._provider = MeterProvider(
            (reader,), resource, shutdown_on_exit=False, exemplar_filter=AlwaysOffExemplarFilter()
        )
        meter = self._provider.get_meter("cwl_prefect", __version__)
        for name, (unit, description) in _COUNTERS.items():
            meter.create_observable_counter(name, [partial(self._observed, name)], unit, description)
        for name, description in _LEVELS.items():
            meter.create_observable_up_down_counter(name, [partial(self._observed, name)], "{call}", description)
        self._runs = meter.create_histogram("cwl.run.duration", "s", "How long runs took")
        self._duration = meter.create_histogram("cwl.call.duration", "s", "How long commands ran")
        self._waiting = meter.create_histogram("cwl.call.waiting", "s", "How long tries waited for what they ask for")
        self._memory = meter.create_histogram("cwl.memory.peak", "By", "The most memory of tries")
        self._began_s = event.began_s
        self._workflow = event.name if event.plan is None else event.plan.name
        self._planned: dict[str, int] = {}
        self._counts: dict[str, dict[_Key, float]] = {name: {} for name in (*_COUNTERS, *_LEVELS)}

    @property
    def lost(self) -> int:
        """How many reports the collector did not take."""
        return self._exporter.lost

    def step_planned(self, event: StepEvent) -> None:
        """Count the calls of a step that wait now; a loop plans again with every iteration."""
        count = event.count or 0
        self._add(_QUEUED, event.step, count - self._planned.get(event.step, 0))
        self._planned[event.step] = count

    def call_started(self, event: StepEvent) -> None:
        """Count a call that goes on; of a subworkflow its own steps count."""
        self._add(_QUEUED, event.step, -1)
        if not event.subworkflow:
            self._add(_ACTIVE, event.step, 1)

    def call_retrying(self, event: StepEvent) -> None:
        """Count a try that failed."""
        self._add("cwl.call.retries", event.step, 1)
        self._used(event)

    def call_ended(self, event: StepEvent) -> None:
        """Count a call that ended, and what it used."""
        if event.subworkflow:
            return
        began = event.kind in (StepEventKind.SUCCEEDED, StepEventKind.FAILED)
        self._add(_ACTIVE if began else _QUEUED, event.step, -1)
        self._add("cwl.calls", event.step, 1, ("cwl.state", event.kind.value))
        if event.saved_s:
            self._add("cwl.cache.saved", event.step, event.saved_s)
        self._used(event)

    def run_ended(self, event: RunEnded) -> None:
        """Note how long the run took; nothing waits or goes on any more."""
        for name in _LEVELS:
            self._counts[name] = dict.fromkeys(self._counts[name], 0)
        about = {"cwl.workflow": self._workflow, "cwl.state": event.state.value}
        self._runs.record(time.time() - self._began_s, about)

    def close(self) -> None:
        """Send what is not sent yet; blocks."""
        self._provider.shutdown()

    def _used(self, event: StepEvent) -> None:
        tried, step = event.tried, event.step
        if tried is None:
            return
        usage, about = tried.usage, {"cwl.workflow": self._workflow, "cwl.step": without_indices(step)}
        self._waiting.record(max(0.0, tried.ready_at - tried.prepared_at), about)
        if tried.started_at is not None and tried.ended_at is not None:
            self._duration.record(max(0.0, tried.ended_at - tried.started_at), about)
        if usage.peak_memory_mib is not None:
            self._memory.record(usage.peak_memory_mib * _MIB, about)
        self._add("cwl.cpu.time", step, usage.cpu_s or 0)
        self._add("cwl.disk.io", step, usage.read_bytes or 0, ("disk.io.direction", "read"))
        self._add("cwl.disk.io", step, usage.written_bytes or 0, ("disk.io.direction", "write"))

    def _add(self, name: str, step: str, more: float, *about: tuple[str, str]) -> None:
        key, counts = (("cwl.step", without_indices(step)), *about), self._counts[name]
        counts[key] = counts.get(key, 0) + more

    def _observed(self, name: str, _: CallbackOptions) -> Iterator[Observation]:
        """Yield a count as it is now; this is called in a thread."""
        for about, count in list(self._counts[name].items()):
            yield Observation(count, {"cwl.workflow": self._workflow, **dict(about)})


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
