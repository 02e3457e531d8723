"""Spans on their way to a collector, by OpenTelemetry's own means and variables."""

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags

from cwl_prefect import __version__
from cwl_prefect.model.events import RunEvent, RunStarted
from cwl_prefect.model.trace_ids import TraceIds
from cwl_prefect.reports.telemetry.earlier import Earlier, read_earlier
from cwl_prefect.reports.telemetry.span import RunSpan
from cwl_prefect.reports.telemetry.spans import Spans

_SCOPE = InstrumentationScope("cwl_prefect", __version__)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_WELL = Status(StatusCode.UNSET)


class Traces:
    """Makes spans of events, and sends them.

    Args:
        event: How the run began.
        resource: What the spans are from.
    """

    unit = "spans"

    def __init__(self, event: RunStarted, resource: Resource) -> None:
        ids = TraceIds(event.flow_run_id, event.began_s)
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        decision = self._provider.sampler.should_sample(Context(), ids.trace, "run").decision
        self._sampled = decision is Decision.RECORD_AND_SAMPLE
        self._trace, self._resource = ids.trace, resource
        self._exporter = _Exporter()
        self._processor = BatchSpanProcessor(self._exporter)
        self._provider.add_span_processor(self._processor)
        self._spans = Spans(event, _earlier(event, ids), self._send)

    @property
    def lost(self) -> int:
        """How many spans the collector did not take."""
        return self._exporter.lost

    def __call__(self, event: RunEvent) -> None:
        """Make spans of an event."""
        if self._sampled:
            self._spans(event)

    def close(self) -> None:
        """Send what is not sent yet; blocks."""
        self._provider.shutdown()

    def _send(self, span: RunSpan) -> None:
        """Send a span that ended; one that OpenTelemetry is told of from its start would cost several times as much."""
        self._processor.on_end(
            ReadableSpan(
                name=span.name,
                context=self._context(span.identifier),
                parent=None if span.parent is None else self._context(span.parent),
                resource=self._resource,
                attributes=span.attributes,
                events=[Event(name, timestamp=_nanoseconds(at)) for name, at in span.moments.items()],
                links=[Link(self._context(other), {"cwl.link": how}) for how, other in span.links.items()],
                status=_WELL if span.error is None else Status(StatusCode.ERROR, span.error),
                start_time=_nanoseconds(span.began_s),
                end_time=_nanoseconds(max(span.began_s, span.ended_s)),
                instrumentation_scope=_SCOPE,
            )
        )

    def _context(self, span: int) -> SpanContext:
        return SpanContext(self._trace, span, is_remote=False, trace_flags=_SAMPLED)


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
