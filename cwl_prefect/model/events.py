"""What happens in a run, as told to observers: displays, callbacks, the trace, artifacts, and users' own."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from cwl_prefect._lib.destinations import Destination
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.model.usage import Tried
from cwl_prefect.model.values import CwlObject
from cwl_prefect.settings import Settings


class RunState(StrEnum):
    """How a run, or a step as a whole, ended.

    Examples:
        >>> from cwl_prefect import RunState
        >>> [str(state) for state in RunState]
        ['succeeded', 'failed', 'cancelled']
    """

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepEventKind(StrEnum):
    """What happened to a step or to one of its calls.

    Examples:
        >>> from cwl_prefect import StepEventKind
        >>> [str(kind) for kind in StepEventKind][:3]
        ['planned', 'started', 'succeeded']
    """

    PLANNED = "planned"  # the number of calls is known: `count`
    STARTED = "started"
    SUCCEEDED = "succeeded"
    CACHED = "cached"  # an identical call ran before; it was not started
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RETRYING = "retrying"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEvent:
    """One thing that happened; `step` is a path as ``prepare.align``, `call` adds the index: ``prepare.align[3]``.

    Examples:
        >>> from cwl_prefect import StepEvent, StepEventKind
        >>> event = StepEvent(kind=StepEventKind.FAILED, step="align", call="align[3]", message="it exited with 1")
        >>> event.call
        'align[3]'
    """

    kind: StepEventKind
    step: str
    call: str | None = None
    count: int | None = None
    message: str | None = None
    subworkflow: bool = False  # it is about a call of a workflow, whose own steps are told of too
    tried: Tried | None = None  # of a try that ended: what it asked for and used
    saved_s: float | None = None  # of a cached call: how long the one took that it repeats
    inputs: CwlObject | None = None  # of a call that ended
    outputs: CwlObject | None = None  # of a call that ended well


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The flow run exists.

    Attributes:
        flow_run_id: Its identifier.
        name: Its name.
        url: Its page in the Prefect UI, where there is one.
        resumed: Whether an earlier driver began it.
        began_s: When this driver began, in seconds since 1970.
        plan: What it runs; None: not known here.
        inputs: Its job order, with defaults.
        settings: What it runs with; None: not known here.
        outdir: Where its results go; None: not known here.

    Examples:
        >>> from cwl_prefect import RunStarted
        >>> RunStarted(flow_run_id="8a2f", name="fond-hare", url=None).resumed
        False
    """

    flow_run_id: str
    name: str
    url: str | None
    resumed: bool = False
    began_s: float = field(default_factory=time.time)
    plan: WorkflowPlan | None = None
    inputs: CwlObject | None = None
    settings: Settings | None = None
    outdir: Destination | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEnded:
    """A step ended as a whole, however often it was called.

    Examples:
        >>> from cwl_prefect import StepEnded
        >>> StepEnded(step="align", error=None).step
        'align'
    """

    step: str
    error: BaseException | None  # None: it ended well

    @property
    def state(self) -> RunState:
        """How it ended."""
        if self.error is None:
            return RunState.SUCCEEDED
        return RunState.CANCELLED if isinstance(self.error, asyncio.CancelledError) else RunState.FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """The run ended; its outputs are published.

    Attributes:
        state: How.
        message: Why it failed.
        outputs: Its output object; empty where there is none.

    Examples:
        >>> from cwl_prefect import RunEnded, RunState
        >>> RunEnded(state=RunState.FAILED, message="align[3] failed", outputs={}).state
        <RunState.FAILED: 'failed'>
    """

    state: RunState
    message: str | None
    outputs: CwlObject


RunEvent: TypeAlias = RunStarted | StepEvent | StepEnded | RunEnded
Observer: TypeAlias = Callable[[RunEvent], None]
"""Called on the event loop for each event in order; it must not block."""


class RunObserver:
    """An observer that has a method for each thing that happens; those that are not overridden do nothing.

    Methods are called on the event loop, in order, and must not block. One that raises is logged, and the observer is
    told nothing more of the run.

    Examples:
        >>> import asyncio
        >>> from cwl_prefect import FakeBackend, RunObserver, run
        >>> class Starts(RunObserver):
        ...     def call_started(self, event):
        ...         print(event.call)
        >>> given = run("examples/cwl/hello/hello.cwl", backend=FakeBackend(), observers=[Starts()])
        >>> _ = asyncio.run(given)
        hello
    """

    def __call__(self, event: RunEvent) -> None:
        """Call the method for an event."""
        match event:
            case RunStarted():
                self.run_started(event)
            case RunEnded():
                self.run_ended(event)
            case StepEnded():
                self.step_ended(event)
            case StepEvent(kind=StepEventKind.PLANNED):
                self.step_planned(event)
            case StepEvent(kind=StepEventKind.STARTED):
                self.call_started(event)
            case StepEvent(kind=StepEventKind.RETRYING):
                self.call_retrying(event)
            case StepEvent():
                self.call_ended(event)

    def run_started(self, event: RunStarted) -> None:
        """Note that the flow run exists."""

    def step_planned(self, event: StepEvent) -> None:
        """Note how many calls a step has, as far as it is known: a loop plans again with every iteration."""

    def call_started(self, event: StepEvent) -> None:
        """Note that a call began, at its first try."""

    def call_retrying(self, event: StepEvent) -> None:
        """Note that a try of a call failed, and that another follows."""

    def call_ended(self, event: StepEvent) -> None:
        """Note how a call ended: its kind says it."""

    def step_ended(self, event: StepEnded) -> None:
        """Note that a step ended as a whole."""

    def run_ended(self, event: RunEnded) -> None:
        """Note how the run ended."""

    async def aclose(self) -> None:
        """Do at the end what takes its time; the run waits for it."""


ObserverGiven: TypeAlias = Observer | type[RunObserver]
"""An observer, or a class of which each run gets its own."""

Observers: TypeAlias = Sequence[ObserverGiven]
