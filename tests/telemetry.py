"""A collector of OpenTelemetry on this machine, which keeps what it is sent."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue


@dataclass(frozen=True, kw_only=True)
class Span:
    """A span as it came."""

    name: str
    trace: str
    identifier: str
    parent: str  # empty: none
    failed: bool
    message: str
    began_ns: int
    ended_ns: int
    attributes: Mapping[str, object]
    links: Mapping[str, str]  # identifiers by how they are related
    moments: tuple[str, ...]
    resource: Mapping[str, object]


@dataclass(kw_only=True)
class Collector:
    """What came."""

    url: str
    spans: list[Span] = field(default_factory=list)
    metrics: dict[str, list[tuple[Mapping[str, object], float]]] = field(default_factory=dict)  # the last of each
    bodies: list[bytes] = field(default_factory=list)
    status: int = 200

    def one(self, name: str, **attributes: object) -> Span:
        """Return the only span of a name with some attributes, whose dots are underscores here."""
        wanted = {key.replace("_", "."): value for key, value in attributes.items()}
        (found,) = [span for span in self.spans if span.name == name and wanted.items() <= span.attributes.items()]
        return found

    def parents(self) -> list[tuple[str, str]]:
        """Return the name of each span with that of its parent: empty where it has none, None where it did not come."""
        names = {span.identifier: _label(span) for span in self.spans} | {"": ""}
        return sorted((_label(span), names[span.parent]) for span in self.spans)


@contextmanager
def collecting() -> Iterator[Collector]:
    """Collect what is sent while this is open."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.bodies.append(body)
            if found.status == 200:
                (_keep_spans if self.path == "/v1/traces" else _keep_metrics)(found, body)
            self.send_response(found.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Collector(url=f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


def _label(span: Span) -> str:
    about = span.attributes.get("cwl.call") or span.attributes.get("cwl.step")
    return f"{span.name.split()[0]} {about}" if about else span.name


def _keep_spans(found: Collector, body: bytes) -> None:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        about = _mapping(resource.resource.attributes)
        for scope in resource.scope_spans:
            found.spans += [
                Span(
                    name=span.name,
                    trace=span.trace_id.hex(),
                    identifier=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    failed=span.status.code == 2,
                    message=span.status.message,
                    began_ns=span.start_time_unix_nano,
                    ended_ns=span.end_time_unix_nano,
                    attributes=_mapping(span.attributes),
                    links={str(_mapping(link.attributes)["cwl.link"]): link.span_id.hex() for link in span.links},
                    moments=tuple(event.name for event in span.events),
                    resource=about,
                )
                for span in scope.spans
            ]


def _keep_metrics(found: Collector, body: bytes) -> None:
    for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                if metric.HasField("histogram"):
                    points = [
                        (_mapping(point.attributes), float(point.count)) for point in metric.histogram.data_points
                    ]
                else:
                    points = [
                        (_mapping(point.attributes), point.as_double or float(point.as_int))
                        for point in metric.sum.data_points
                    ]
                found.metrics[metric.name] = points


def _mapping(attributes: "list[KeyValue]") -> dict[str, object]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
