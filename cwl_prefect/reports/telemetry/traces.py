"""Spans on their way to a collector, by OpenTelemetry's own means and variables."""

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from cwl_prefect import __version__
from cwl_prefect.model.events import RunEvent, RunStarted
from cwl_prefect.model.trace_ids import TraceIds
from cwl_prefect.reports.telemetry.earlier import Earlier, read_earlier
from cwl_prefect.reports.telemetry.span import RunSpan
from cwl_prefect.reports.telemetry.spans import Spans


class Traces:
    """Makes spans of events, and sends them.

    Args:
        event: How the run began.
        resource: What the spans are from.
    """

    unit = "spans"

    def __init__(self, event: RunStarted, resource: Resource) -> None:
        ids = TraceIds(event.flow_run_id, event.began_s)
        self._ids = _GivenIds(ids.trace)
        self._exporter = _Exporter()
        self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("cwl_prefect", __version__)
        decision = self._provider.sampler.should_sample(Context(), ids.trace, "run").decision
        self._flags = TraceFlags(decision is Decision.RECORD_AND_SAMPLE)
        self._spans = Spans(event, _earlier(event, ids), self._send)

    @property
    def lost(self) -> int:
        """How many spans the collector did not take."""
        return self._exporter.lost

    def __call__(self, event: RunEvent) -> None:
        """Make spans of an event."""
        self._spans(event)

    def close(self) -> None:
        """Send what is not sent yet; blocks."""
        self._provider.shutdown()

    def _send(self, span: RunSpan) -> None:
        self._ids.next_span = span.identifier
        made = self._tracer.start_span(
            span.name,
            Context() if span.parent is None else set_span_in_context(NonRecordingSpan(self._context(span.parent))),
            attributes=span.attributes,
            links=[Link(self._context(other), {"cwl.link": how}) for how, other in span.links.items()],
            start_time=_nanoseconds(span.began_s),
        )
        for name, at in span.moments.items():
            made.add_event(name, timestamp=_nanoseconds(at))
        if span.error is not None:
            made.set_status(Status(StatusCode.ERROR, span.error))
        made.end(_nanoseconds(max(span.began_s, span.ended_s)))

    def _context(self, span: int) -> SpanContext:
        return SpanContext(self._ids.trace, span, is_remote=False, trace_flags=self._flags)


class _GivenIds(IdGenerator):
    """Gives the trace of a run, and the span that is said before."""

    def __init__(self, trace: int) -> None:
        self.trace = trace
        self.next_span = 0

    def generate_trace_id(self) -> int:
        """Return the trace of the run."""
        return self.trace

    def generate_span_id(self) -> int:
        """Return the identifier of the next span."""
        return self.next_span


class _Exporter(OTLPSpanExporter):
    """Counts what was not taken."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans."""
        result = super().export(spans)
        if result is not SpanExportResult.SUCCESS:
            self.lost += len(spans)
        return result


def _earlier(event: RunStarted, ids: TraceIds) -> Earlier:
    if not event.resumed or event.settings is None:
        return Earlier()
    return read_earlier(event.settings.reports / event.flow_run_id, ids)


def _nanoseconds(moment_s: float) -> int:
    return round(moment_s * 1e9)
