"""What one flow run works with, and what it leaves behind for its caller."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from cwl_prefect.cwl.bind import Binder
from cwl_prefect.engine.memory import MemoryRecord
from cwl_prefect.engine.overrides import tool_steps
from cwl_prefect.engine.priority import Priorities
from cwl_prefect.engine.retry import Retries, RetryPolicy
from cwl_prefect.engine.scheduler import ResourcePool
from cwl_prefect.engine.turns import Turns
from cwl_prefect.engine.workspace import ScratchPool, run_directory
from cwl_prefect.errors import CwlPrefectError
from cwl_prefect.flows.cache import CallCache, open_cache
from cwl_prefect.flows.choose import Backends
from cwl_prefect.flows.claim import Claim, claim, seen_alive
from cwl_prefect.flows.cleanup import cleaned_up
from cwl_prefect.flows.pool import job_variables, steps_pool, with_overrides
from cwl_prefect.flows.reaping import reap_run
from cwl_prefect.flows.room import watched
from cwl_prefect.flows.workdirs import remember
from cwl_prefect.model.callbacks import Callback
from cwl_prefect.model.events import Observer, RunEvent, StepEvent, StepEventKind
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.model.values import CwlObject
from cwl_prefect.settings import Settings

if TYPE_CHECKING:
    from cwl_prefect.flows.callbacks import Callbacks

P = ParamSpec("P")
T = TypeVar("T")

CALLS_AHEAD = 4  # enough that no core waits; more would be bound in bursts, while nothing is started
WORKER_THREADS = 2
_SHOWN_STEPS = 20

_logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Caller:
    """What the caller of a flow run wants, and what the run tells it; set around the call of the flow."""

    settings: Settings
    observer: Observer | None = None
    outdir: Path | None = None
    backends: Backends | None = None  # None: chosen by the settings
    job_order: CwlObject | None = None  # a job order too large for flow parameters
    flow_run_id: str | None = None
    url: str | None = None
    outputs: CwlObject = field(default_factory=dict)
    errors: list[CwlPrefectError] = field(default_factory=list)
    callbacks: tuple[Callback, ...] = ()
    called: "Callbacks | None" = None  # calls them while the run is open
    callback_failures: int = 0
    cancelled: bool = False  # somebody asked Prefect to end it for good
    interrupted: bool = False  # or for now
    timed_out: bool = False  # it took longer than it may
    name: str | None = None  # of the flow run; Prefect makes one up where none is given
    tags: tuple[str, ...] = ()  # of the flow run
    claimed: Claim | None = None  # the run that it goes on with


CALLER: ContextVar[Caller | None] = ContextVar("cwl_prefect_caller", default=None)
_MACHINE: ContextVar[ResourcePool | None] = ContextVar("cwl_prefect_machine", default=None)


@contextmanager
def one_machine(settings: Settings) -> Iterator[None]:
    """Let all runs that are started meanwhile share the cores and memory of this machine."""
    token = _MACHINE.set(ResourcePool.of_machine(settings))
    try:
        yield
    finally:
        _MACHINE.reset(token)


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that the calls of one flow run share."""

    run_id: str
    plan: WorkflowPlan
    caller: Caller
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
    memory: MemoryRecord
    again: bool = False  # an earlier driver began this run and was killed, or it failed
    cache: CallCache | None = None

    @property
    def settings(self) -> Settings:
        """Settings of this run."""
        return self.caller.settings

    @cached_property
    def runs(self) -> Path:
        """Directory of all workspaces."""
        return self.settings.runs

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run blocking work off the event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.threads, lambda: function(*args, **kwargs))

    def tell(self, event: RunEvent) -> None:
        """Tell the caller's observer and callbacks, if any."""
        if self.caller.observer is not None:
            self.caller.observer(event)
        if self.caller.called is not None:
            self.caller.called.observe(event)

    def tell_step(self, step: str, error: BaseException | None) -> None:
        """Tell callbacks that a step ended as a whole."""
        if self.caller.called is not None:
            self.caller.called.step_ended(step, error)

    def tell_call(self, kind: StepEventKind, step: str, call: str, message: str | None = None) -> None:
        """Tell what happened to one call of a step."""
        if self.caller.observer is not None or self.caller.called is not None:
            self.tell(StepEvent(kind=kind, step=step, call=call, message=message))


def _priorities(plan: WorkflowPlan, settings: Settings) -> Priorities:
    """Give the priorities of the settings, and warn of those that no step has: they may be another workflow's."""
    priorities = Priorities(settings.priorities)
    steps = [name for name, _ in tool_steps(plan)] if settings.priorities else []
    for pattern in priorities.unused(steps):
        shown = ", ".join(steps[:_SHOWN_STEPS]) + (", …" if len(steps) > _SHOWN_STEPS else "")
        _logger.warning("priorities: %r fits no step of %s; its steps are: %s", pattern, plan.name, shown)
    return priorities


@asynccontextmanager
async def open_run(plan: WorkflowPlan, caller: Caller, run_id: str) -> AsyncIterator[Run]:
    """Open what a run needs, and give it back at the end.

    Raises:
        UsageError: The work pool of its steps, or an override for single steps, is wrong.
    """
    with _claimed(caller, run_id) as claimed:
        remember(caller.settings)
        async with (
            _opened(plan, caller, run_id, again=claimed.again) as run,
            watched(run.runs, run.settings.least_free_mib),
            seen_alive(claimed, run.settings.adopt_s),
        ):
            yield run


def _claimed(caller: Caller, run_id: str) -> Claim:
    held = caller.claimed
    if held is not None and held.directory == run_directory(caller.settings.runs, run_id):
        return held
    return claim(caller.settings.runs, run_id)


@asynccontextmanager
async def _opened(plan: WorkflowPlan, caller: Caller, run_id: str, *, again: bool) -> AsyncIterator[Run]:
    settings = caller.settings
    threads = ThreadPoolExecutor(max_workers=WORKER_THREADS, thread_name_prefix="cwl-prefect")
    steps = None if caller.backends is not None else await steps_pool(settings)
    variables = job_variables(settings, steps)
    plan = with_overrides(plan, variables, steps, settings)
    backends = caller.backends or Backends(settings, pool=steps, variables=variables)
    pool = _MACHINE.get() or ResourcePool.of_machine(settings)
    cache = open_cache(plan, settings, run_id)
    cluster = ResourcePool.of_cluster(settings)
    most_ram_mib = (cluster if backends.cluster else pool).ram_mib
    places = Turns(settings.max_calls)
    try:
        yield Run(
            run_id=run_id,
            plan=plan,
            caller=caller,
            binder=Binder(ontology=plan.ontology, expression_timeout_s=settings.javascript_timeout_s),
            pool=pool,
            cluster=cluster,
            backends=backends,
            threads=threads,
            priorities=_priorities(plan, settings),
            places=places,
            ahead=Turns(CALLS_AHEAD, shares=places),
            scratch=ScratchPool(settings.runs, run_id),
            retries=Retries(RetryPolicy.of(settings, most_ram_mib)),
            memory=MemoryRecord(settings.memory),
            again=again,
            cache=cache,
        )
    finally:
        if cache is not None:
            cache.close()
        try:
            await _close(backends, run_id, again=again)
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


async def _close(backends: Backends, run_id: str, *, again: bool) -> None:
    closing: list[tuple[str, Awaitable[object]]] = [
        (f"backends of the run {run_id} could not be closed", backends.close())
    ]
    if again:  # what no call of this driver asked for
        closing.append((f"leftovers of the run {run_id} could not be removed", reap_run(run_id)))
    await cleaned_up(*closing)
