"""Identifiers of the trace of a run and of its spans (W3C Trace Context), the same for whoever asks."""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from uuid import UUID


def trace_id(run_id: str) -> int:
    """Return the trace of a run: its flow run id, which is as wide."""
    try:
        return UUID(run_id).int
    except ValueError:
        return int.from_bytes(blake2b(run_id.encode(), digest_size=16).digest())


@dataclass(frozen=True, slots=True)
class TraceIds:
    """Identifiers of the spans of one driver of a run.

    Attributes:
        run_id: The flow run.
        began_s: When the driver began, in seconds since 1970; it tells drivers of one run apart.
    """

    run_id: str
    began_s: float

    @property
    def trace(self) -> int:
        """The trace."""
        return trace_id(self.run_id)

    @property
    def run(self) -> int:
        """The span of the run."""
        return self._span("run")

    def step(self, path: str) -> int:
        """Return the span of a step."""
        return self._span("step", path)

    def call(self, name: str, number: int = 1) -> int:
        """Return the span of a try of a call, counted from 1."""
        return self._span("call", name, str(number))

    def traceparent(self, call: str, number: int) -> str:
        """Return what tells a tool the span of its try (https://www.w3.org/TR/trace-context/#traceparent-header)."""
        return f"00-{self.trace:032x}-{self.call(call, number):016x}-01"

    def _span(self, *about: str) -> int:
        return _identifier("\0".join((self.run_id, f"{self.began_s:.3f}", *about)))


@lru_cache(maxsize=1024)  # each call asks for that of its step
def _identifier(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
