"""What one flow run is asked for, what it works with, and what it gives."""

import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cached_property
from pathlib import Path
from typing import ParamSpec, TypeVar

from cwl_prefect._lib.destinations import Destination
from cwl_prefect._lib.threads import in_thread
from cwl_prefect.cwl.binding.bind import Binder
from cwl_prefect.cwl.values.errors import call_errors
from cwl_prefect.engine.records.manifest import Outcome
from cwl_prefect.engine.records.secrets import secret_texts
from cwl_prefect.engine.scheduling.fair_queue import Turns
from cwl_prefect.engine.scheduling.priority import Priorities
from cwl_prefect.engine.scheduling.retry import Retries
from cwl_prefect.engine.scheduling.scheduler import ResourcePool
from cwl_prefect.engine.staging.workspace import ScratchPool
from cwl_prefect.errors import CwlPrefectError
from cwl_prefect.flows.cache.call_cache import CallCache
from cwl_prefect.flows.cache.remote_inputs import local, with_remote_defaults
from cwl_prefect.flows.concurrency.slots import SharedLimits
from cwl_prefect.flows.driver_lock import Claim
from cwl_prefect.flows.execution.backends import Backends
from cwl_prefect.model.callbacks import Callback
from cwl_prefect.model.events import Observer, ObserverGiven, RunEvent, StepEvent, StepEventKind
from cwl_prefect.model.plan import Places, ToolPlan, WorkflowPlan, places_in
from cwl_prefect.model.trace_ids import TraceIds
from cwl_prefect.model.values import CwlObject
from cwl_prefect.settings import OnError, Settings
from cwl_prefect.storage.fetching import names_remote

P = ParamSpec("P")
T = TypeVar("T")

_INDEX = re.compile(r"\[[^\]]*\]")


class Stopped(Enum):
    """Why a run was ended before its own end."""

    CANCELLED = auto()  # somebody asked Prefect to end it for good
    INTERRUPTED = auto()  # or for now
    TIMED_OUT = auto()  # it took longer than it may


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A run as somebody wants it; what came of it is returned as a :class:`RunReport`.

    Attributes:
        job_order: Its prepared inputs.
        settings: Settings that hold for it.
        outdir: Where its outputs are published; as the settings say where it is None.
        observers: Told what happens; of a class each run gets its own.
        callbacks: What to call when something happens.
        backends: What its calls run on; chosen by the settings where it is None.
        name: Name of its flow run; Prefect makes one up where it is None.
        tags: Tags of its flow run.
        claimed: The run that it goes on with.
    """

    job_order: CwlObject
    settings: Settings
    outdir: Destination | None = None
    observers: tuple[ObserverGiven, ...] = ()
    callbacks: tuple[Callback, ...] = ()
    backends: Backends | None = None
    name: str | None = None
    tags: tuple[str, ...] = ()
    claimed: Claim | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What came of a run.

    Attributes:
        outcome: How it ended.
        outputs: Its output object, as far as it was published.
        errors: Why it failed, or was ended.
        callback_failures: How many callbacks failed.
        flow_run_id: Identifier of its flow run; None where none was made.
        url: Page of its flow run, where there is one.
    """

    outcome: Outcome
    outputs: CwlObject = field(default_factory=dict)
    errors: tuple[CwlPrefectError, ...] = ()
    callback_failures: int = 0
    flow_run_id: str | None = None
    url: str | None = None


@dataclass(kw_only=True)
class Progress:
    """How a run does while it goes on; it never leaves the body of the flow, which makes a report of it."""

    failures: list[CwlPrefectError] = field(default_factory=list)
    outputs: CwlObject = field(default_factory=dict)  # as they were published, once there are any
    stopped: Stopped | None = None  # None: nobody has ended it

    def outcome(self, on_error: OnError) -> Outcome:
        """Return how the run ends, where it ends now."""
        match self.stopped:
            case Stopped.CANCELLED:
                return Outcome.CANCELLED
            case Stopped.INTERRUPTED | Stopped.TIMED_OUT:
                return Outcome.INTERRUPTED
            case None:
                failed = Outcome.PARTIAL if on_error is OnError.CONTINUE else Outcome.FAILED
                return failed if self.failures else Outcome.COMPLETED


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that the calls of one flow run share."""

    run_id: str
    plan: WorkflowPlan
    request: RunRequest
    progress: Progress
    binder: Binder
    pool: ResourcePool  # of this machine
    cluster: ResourcePool  # of backends that find room for jobs by themselves
    backends: Backends
    threads: ThreadPoolExecutor
    priorities: Priorities
    places: Turns  # for calls in hand
    ahead: Turns  # for calls that are bound and wait for resources
    scratch: ScratchPool
    retries: Retries
    limits: SharedLimits  # of what its calls share with other runs, such as licences
    outdir: Destination  # where its results go
    began_s: float = field(default_factory=time.time)  # when this driver did, in seconds since the epoch
    again: bool = False  # an earlier driver began this run and was killed, or it failed
    cache: CallCache | None = None
    observers: tuple[Observer, ...] = ()  # told what happens

    @property
    def settings(self) -> Settings:
        """Settings of this run."""
        return self.request.settings

    @cached_property
    def secret(self) -> tuple[str, ...]:
        """Texts that appear in no message, log, or parameter."""
        return secret_texts(self.plan, self.request.job_order)

    @cached_property
    def runs(self) -> Path:
        """Directory of all workspaces."""
        return self.settings.runs

    def trace_context(self, call: str) -> Mapping[str, str]:
        """Return variables that tell a tool the span of its next try, where that is asked for."""
        if not self.settings.traceparent:
            return {}
        ids = TraceIds(self.run_id, self.began_s)
        return {"TRACEPARENT": ids.traceparent(call, self.retries.failures(call) + 1)}

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run blocking work off the event loop."""
        return await in_thread(self.threads, function, *args, **kwargs)

    def places_of(self, name: str) -> Places:
        """Return where the parts of a step stand, given the name of one of its calls.

        That of a subworkflow has a dot behind, and that of the outermost workflow is empty.
        """
        return places_in(self.plan, _INDEX.sub("", name))

    async def local(self, values: CwlObject, *, name: str, places: Places) -> CwlObject:
        """Return inputs of which every File and Directory lies on this machine, fetched where it does not.

        Args:
            values: The inputs.
            name: Of the workflow or call that they are of.
            places: Where its parts stand, for errors.

        Raises:
            CwlPrefectError: Something cannot be fetched.
        """
        with call_errors(name, places=places):
            return await local(values, self.settings, self.binder.host_files, self.cache)

    async def local_inputs(self, tool: ToolPlan, values: CwlObject, *, name: str) -> CwlObject:
        """Return the inputs of a call with every file on this machine, and those defaults of its tool that lie at URLs.

        Raises:
            CwlPrefectError: Something cannot be fetched, or may not be read.
        """
        catalogs = self.settings.stage_in is not None
        given = with_remote_defaults(tool, values, catalogs=catalogs)
        if not names_remote(given, catalogs=catalogs):
            return given
        self.binder.demand_readable(tool, given, name=name)
        return await self.local(given, name=name, places=self.places_of(name))

    def tell(self, event: RunEvent) -> None:
        """Pass an event to all observers."""
        for observe in self.observers:
            observe(event)

    def tell_call(self, kind: StepEventKind, step: str, call: str) -> None:
        """Report what happened to one call of a step."""
        if self.observers:
            self.tell(StepEvent(kind=kind, step=step, call=call))
