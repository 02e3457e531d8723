"""Who observes a run: those whom its caller and the settings name."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pkgutil import resolve_name

from cwl_prefect._lib.cancellation import shielded
from cwl_prefect.environment import in_notebook, wanted_telemetry
from cwl_prefect.errors import UsageError
from cwl_prefect.flows.execution.failures import told_failures
from cwl_prefect.flows.execution.run import Run, Stopped
from cwl_prefect.model.events import Observer, ObserverGiven, RunEnded, RunEvent, RunObserver, RunState
from cwl_prefect.settings import Settings

RECORDER = "cwl_prefect.reports.recorder:Recorder"
"""Observer of all runs that are recorded."""

SHOWN_BY = "cwl_prefect.reports.artifacts:Artifacts"
"""Observer of all runs that are shown by artifacts."""

SENT_BY = "cwl_prefect.reports.telemetry.observer:Telemetry"
"""Observer of all runs where OpenTelemetry's variables name a collector."""

SHOWN_IN_NOTEBOOK_BY = "cwl_prefect.reports.notebook:NotebookProgress"
"""Observer of all runs of a notebook's kernel."""

SCRAPED_BY = "cwl_prefect.reports.prometheus:Prometheus"
"""Observer of all runs where the settings name a directory for Prometheus."""

ENTRY_POINTS = "cwl_prefect.observers"
CLOSING_S = 65.0
"""Seconds that observers have after the end of a run: longer than callbacks have, which one of them waits for."""

_logger = logging.getLogger(__name__)


def observers_of(settings: Settings, given: Iterable[ObserverGiven]) -> tuple[Observer, ...]:
    """Return the observers of a run: those that are given, then those of the settings.

    Raises:
        UsageError: The settings name one that cannot be imported.
    """
    own = {
        RECORDER: settings.record,
        SHOWN_BY: settings.artifacts,
        SENT_BY: bool(wanted_telemetry()),
        SHOWN_IN_NOTEBOOK_BY: in_notebook(),
        SCRAPED_BY: settings.prometheus_directory is not None,
    }
    names = (*(name for name, wanted in own.items() if wanted), *settings.observers)
    named = [_named(name) for name in names]
    return tuple(_Guarded(one() if isinstance(one, type) else one) for one in (*given, *named))


@asynccontextmanager
async def observed(run: Run) -> AsyncIterator[None]:
    """Let the observers of a run know how it ends, and wait within limits for what they do then."""
    state, message, failures = RunState.SUCCEEDED, None, run.progress.failures
    try:
        yield
        if failures:
            state, message = RunState.FAILED, told_failures(failures)
    except asyncio.CancelledError:
        state = RunState.CANCELLED
        if run.progress.stopped is Stopped.TIMED_OUT:
            state, message = RunState.FAILED, "the run took longer than its time limit allows."
        raise
    except Exception as error:
        state, message = RunState.FAILED, str(error)
        raise
    finally:
        await asyncio.sleep(0)  # the ends of the last steps are told first
        run.tell(RunEnded(state=state, message=message, outputs=run.progress.outputs))
        await shielded(_close(run.observers))


class _Guarded:
    """An observer whose faults do not reach the run: after the first it is told nothing more."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._failed = False

    def __call__(self, event: RunEvent) -> None:
        """Pass an event on."""
        if self._failed:
            return
        try:
            self._observer(event)
        except Exception:  # whatever users do must not touch the run
            self._failed = True
            _logger.exception("the observer %r failed, and is told nothing more of this run", self._observer)

    async def aclose(self) -> None:
        """Let it end."""
        if self._failed or not isinstance(self._observer, RunObserver):
            return
        try:
            async with asyncio.timeout(CLOSING_S):
                await self._observer.aclose()
        except Exception:  # as above
            _logger.exception("the observer %r failed at the end of the run", self._observer)


async def _close(observers: Iterable[Observer]) -> None:
    await asyncio.gather(*(observer.aclose() for observer in observers if isinstance(observer, _Guarded)))


def _named(name: str) -> ObserverGiven:
    """Import an observer by ``module:name``, or by the name of an entry point.

    Raises:
        UsageError: There is none.
    """
    from importlib.metadata import entry_points  # it reads the metadata of every package

    try:
        found: ObserverGiven = resolve_name(name) if ":" in name else entry_points(group=ENTRY_POINTS)[name].load()
    except Exception as error:
        raise UsageError(f"the observer {name} of the settings cannot be imported: {error}", hint=_HINT) from error
    if not callable(found):
        raise UsageError(f"the observer {name} of the settings is nothing that can be called.", hint=_HINT)
    return found


_HINT = f"name it `module:name`, or by an entry point of the group {ENTRY_POINTS}."
