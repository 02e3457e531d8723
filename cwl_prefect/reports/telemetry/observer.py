"""Send what happens in a run to a collector of OpenTelemetry."""

import asyncio
import functools
import logging
import os
import socket
from collections.abc import Mapping
from typing import Protocol

from cwl_prefect import __version__
from cwl_prefect._lib.threads import in_daemon_thread
from cwl_prefect.environment import wanted_telemetry
from cwl_prefect.model.events import RunEvent, RunObserver, RunStarted

CLOSING_S = 5.0
"""Seconds that a run waits at its end for what is not sent yet."""

_logger = logging.getLogger(__name__)


class Signal(Protocol):
    """Makes one kind of telemetry of events, and sends it."""

    unit: str

    @property
    def lost(self) -> int:
        """How many of its units the collector did not take."""
        ...

    def __call__(self, event: RunEvent) -> None:
        """Take note of an event."""
        ...

    def close(self) -> None:
        """Send what is not sent yet; blocks."""
        ...


class Telemetry(RunObserver):
    """Sends spans and metrics of a run; where the collector does not answer, the run goes on without."""

    def __init__(self) -> None:
        self._signals: tuple[Signal, ...] = ()

    def __call__(self, event: RunEvent) -> None:
        """Pass an event on to what makes spans and metrics of it."""
        if isinstance(event, RunStarted):
            self._signals = _opened(event)
        for signal in self._signals:
            signal(event)

    async def aclose(self) -> None:
        """Send what is not sent yet, for a few seconds at most, and say what was not sent."""
        signals, self._signals = self._signals, ()
        if not signals:
            return
        try:
            async with asyncio.timeout(CLOSING_S):
                await asyncio.gather(*(in_daemon_thread(signal.close) for signal in signals))
        except TimeoutError:
            _logger.warning("the collector of telemetry did not take all within %g s; the rest is not sent", CLOSING_S)
            return
        lost = [f"{signal.lost} {signal.unit}" for signal in signals if signal.lost]
        if lost:
            _logger.warning("the collector of telemetry did not take %s", " and ".join(lost))


def _opened(event: RunStarted) -> tuple[Signal, ...]:
    """Return what makes spans and metrics, as far as they are wanted and can be sent."""
    wanted = wanted_telemetry()
    try:
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource

        from cwl_prefect.reports.telemetry.metrics import Metrics
        from cwl_prefect.reports.telemetry.traces import Traces
    except ImportError:
        _tell_missing()
        return ()
    resource = Resource.create({**_resource(), **OTELResourceDetector().detect().attributes})
    made: Mapping[str, type[Traces | Metrics]] = {"traces": Traces, "metrics": Metrics}
    return tuple(make(event, resource) for name, make in made.items() if name in wanted)


@functools.cache
def _tell_missing() -> None:
    """Say once that nothing can be sent."""
    _logger.warning(
        "OTEL_EXPORTER_OTLP_ENDPOINT is set, but no telemetry is sent, as OpenTelemetry is not installed; install "
        "cwl-prefect[otel]"
    )


def _resource() -> Mapping[str, str | int]:
    """Return what all spans and metrics are from; variables of OpenTelemetry go over it."""
    return {
        "service.name": "cwl-prefect",
        "service.version": __version__,
        "host.name": socket.gethostname(),
        "process.pid": os.getpid(),
    }
