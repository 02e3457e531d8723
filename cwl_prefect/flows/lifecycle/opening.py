"""Open what a run needs, and give it back at the end, however it ends."""

import logging
from collections.abc import AsyncIterator, Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import partial

from cwl_prefect.backends.job_template.job_variables import Origin
from cwl_prefect.cwl.access.host_files import HostFiles
from cwl_prefect.cwl.binding.bind import Binder
from cwl_prefect.engine.scheduling.fair_queue import Turns
from cwl_prefect.engine.scheduling.machine_shares import shares_of_machine
from cwl_prefect.engine.scheduling.priority import Priorities
from cwl_prefect.engine.scheduling.retry import Retries, RetryPolicy
from cwl_prefect.engine.scheduling.scheduler import ResourcePool
from cwl_prefect.engine.staging.workspace import ScratchPool, run_directory
from cwl_prefect.engine.workflow.overrides import tool_steps
from cwl_prefect.flows.cache.call_cache import CallCache, open_cache
from cwl_prefect.flows.cleanup import cleaned_up
from cwl_prefect.flows.concurrency.demands import shared_limits
from cwl_prefect.flows.driver_lock import Claim, claim, seen_alive
from cwl_prefect.flows.execution.backends import Backends
from cwl_prefect.flows.execution.observing import observers_of
from cwl_prefect.flows.execution.run import Progress, Run, RunRequest
from cwl_prefect.flows.execution.work_pool import StepsPool, demanded, job_variables, steps_pool, with_overrides
from cwl_prefect.flows.lifecycle.disk_watch import watched
from cwl_prefect.flows.lifecycle.reaping import reap_run
from cwl_prefect.flows.lifecycle.results import lasting_destination
from cwl_prefect.flows.lifecycle.workdirs import remember
from cwl_prefect.model.plan import WorkflowPlan, places_in
from cwl_prefect.settings import Settings

CALLS_AHEAD = 4  # enough that no core waits; more would be bound in bursts, while nothing is started
WORKER_THREADS = 2
_SHOWN_STEPS = 20

_MACHINE: ContextVar[ResourcePool | None] = ContextVar("cwl_prefect_machine", default=None)

_logger = logging.getLogger(__name__)


@contextmanager
def one_machine(settings: Settings) -> Iterator[None]:
    """Let all runs that are started meanwhile share one pool of this machine's cores and memory."""
    with _pool_of_machine(settings) as pool, sharing(pool):
        yield


@contextmanager
def sharing(pool: ResourcePool) -> Iterator[None]:
    """Let all runs that are started meanwhile share the cores and memory of a pool."""
    token = _MACHINE.set(pool)
    try:
        yield
    finally:
        _MACHINE.reset(token)


@contextmanager
def _pool_of_machine(settings: Settings) -> Iterator[ResourcePool]:
    """Yield what this run may have of this machine, which it shares with the runs of other processes."""
    if (pool := _MACHINE.get()) is not None:
        yield pool
        return
    with shares_of_machine(settings.home / "machines") as shares:
        yield ResourcePool.of_machine(settings, shares=shares)


def _priorities(plan: WorkflowPlan, settings: Settings) -> Priorities:
    """Return the priorities of the settings, and warn of those that no step has: they may be another workflow's."""
    priorities = Priorities(settings.priorities)
    steps = [name for name, _ in tool_steps(plan)] if settings.priorities else []
    for pattern in priorities.unused(steps):
        shown = ", ".join(steps[:_SHOWN_STEPS]) + (", …" if len(steps) > _SHOWN_STEPS else "")
        _logger.warning("priorities: %r fits no step of %s; its steps are: %s", pattern, plan.name, shown)
    return priorities


@asynccontextmanager
async def open_run(
    plan: WorkflowPlan, request: RunRequest, run_id: str, progress: Progress | None = None
) -> AsyncIterator[Run]:
    """Open what a run needs, and give it back at the end.

    Raises:
        UsageError: The work pool of its steps, or an override for single steps, is wrong.
    """
    with _claimed(request, run_id) as claimed:
        remember(request.settings)
        async with (
            _opened(plan, request, run_id, progress or Progress(), again=claimed.again) as run,
            watched(run.runs, run.settings.least_free_mib),
            seen_alive(claimed, run.settings.adopt_s),
        ):
            yield run


def _claimed(request: RunRequest, run_id: str) -> Claim:
    held = request.claimed
    if held is not None and held.directory == run_directory(request.settings.runs, run_id):
        return held
    return claim(request.settings.runs, run_id)


@asynccontextmanager
async def _opened(
    plan: WorkflowPlan, request: RunRequest, run_id: str, progress: Progress, *, again: bool
) -> AsyncIterator[Run]:
    threads = ThreadPoolExecutor(max_workers=WORKER_THREADS, thread_name_prefix="cwl-prefect")
    steps = None if request.backends is not None else await steps_pool(request.settings)
    request = replace(request, settings=demanded(request.settings, plan, steps))
    outdir = await lasting_destination(run_id, plan, request, again=again)
    settings, host_files = request.settings, _host_files(plan, request, run_id, steps)
    variables = job_variables(settings, steps)
    plan = with_overrides(plan, variables, steps, settings)
    backends = request.backends or Backends(settings, pool=steps, variables=variables)
    cache, cluster = open_cache(plan, settings, run_id), ResourcePool.of_cluster(settings)
    places = Turns(settings.max_calls)
    with _pool_of_machine(settings) as pool, host_files.reaching():
        async with (
            _closing(cache, backends, threads, run_id, again=again),
            shared_limits(plan, run_id) as limits,
        ):
            yield Run(
                run_id=run_id,
                plan=plan,
                request=request,
                progress=progress,
                binder=Binder(ontology=plan.ontology, places=partial(places_in, plan), host_files=host_files),
                pool=pool,
                cluster=cluster,
                backends=backends,
                threads=threads,
                priorities=_priorities(plan, settings),
                places=places,
                ahead=Turns(CALLS_AHEAD, shares=places),
                scratch=ScratchPool(settings.runs, run_id),
                limits=limits,
                retries=Retries(RetryPolicy.of(settings, (cluster if backends.cluster else pool).ram_mib)),
                outdir=outdir,
                again=again,
                cache=cache,
                observers=observers_of(settings, request.observers),
            )


def _host_files(plan: WorkflowPlan, request: RunRequest, run_id: str, pool: StepsPool | None) -> HostFiles:
    """Return which files the run may read, and tell what its document names outside of its own tree.

    Whoever fills in the form of a deployment that trusts nobody names no more than its document may.

    Raises:
        InputError: The form, or the document, names what it may not.
    """
    known = HostFiles.of(plan, request.settings)
    if known.untrusted and pool is not None:
        for found in plan.named_files:
            known.demand_location(found.location)
        if any(layer.origin is Origin.DEPLOYMENT for layer in pool.layers):
            known.demand(request.job_order)
    for line in known.outside(plan.named_files):
        _logger.warning("%s", line)
    return known.with_named(request.job_order, checked=True).with_made(run_directory(request.settings.runs, run_id))


@asynccontextmanager
async def _closing(
    cache: CallCache | None, backends: Backends, threads: ThreadPoolExecutor, run_id: str, *, again: bool
) -> AsyncIterator[None]:
    try:
        yield
    finally:
        try:
            await _close(cache, backends, run_id, again=again)
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


async def _close(cache: CallCache | None, backends: Backends, run_id: str, *, again: bool) -> None:
    if cache is not None:
        cache.close()
    closing: list[tuple[str, Awaitable[object]]] = [
        (f"backends of the run {run_id} could not be closed", backends.close())
    ]
    if again:  # what no call of this driver asked for
        closing.append((f"leftovers of the run {run_id} could not be removed", reap_run(run_id)))
    await cleaned_up(*closing)
