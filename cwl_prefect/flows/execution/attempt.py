"""The whole path of one call: prepare, stage, execute, collect, validate; :class:`Attempt` shows it in this order."""

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ParamSpec, TypeAlias, TypeVar

from cwl_prefect.backends.base import Backend, JobHandle, ended
from cwl_prefect.backends.naming import CALL_LABEL, FLOW_RUN_LABEL, STEP_LABEL
from cwl_prefect.cwl.binding.bind import Bound, Place
from cwl_prefect.cwl.binding.collect import gives_outdir
from cwl_prefect.engine.outputs.diagnose import RunLimits, explain
from cwl_prefect.engine.outputs.file_modes import clear_setuid
from cwl_prefect.engine.outputs.validate import validate
from cwl_prefect.engine.records.command_script import ScriptOfCall, start_told
from cwl_prefect.engine.records.secrets import text_without
from cwl_prefect.engine.scheduling.disk import demand_room
from cwl_prefect.engine.scheduling.fair_queue import Rank
from cwl_prefect.engine.scheduling.retry import failure_of
from cwl_prefect.engine.scheduling.scheduler import ResourcePool
from cwl_prefect.engine.scheduling.shared_limits import slots_of
from cwl_prefect.engine.staging import workspace as workspaces
from cwl_prefect.engine.staging.identity import identity
from cwl_prefect.engine.staging.relink import hold, relink
from cwl_prefect.engine.staging.stage import stage
from cwl_prefect.engine.staging.unchanged import Unchanged
from cwl_prefect.engine.staging.workspace import Workspace, is_small
from cwl_prefect.environment import search_path
from cwl_prefect.errors import BackendError, CwlPrefectError, ImageError
from cwl_prefect.flows.cache.call_cache import CallPlace, Lookup, Ran
from cwl_prefect.flows.execution.adopt import adopted
from cwl_prefect.flows.execution.evaluated import told_inputs
from cwl_prefect.flows.execution.run import Run
from cwl_prefect.flows.execution.tool_log import followed
from cwl_prefect.model.job import BoundCall, ContainerJob, EntryKind, JobOutcome, Reason, Resources
from cwl_prefect.model.names import call_name
from cwl_prefect.model.plan import ToolPlan
from cwl_prefect.model.values import CwlObject
from cwl_prefect.settings import Keep

P = ParamSpec("P")
T = TypeVar("T")

_logger = logging.getLogger(__name__)

COPIED_KINDS = (EntryKind.WRITABLE_FILE, EntryKind.WRITABLE_DIRECTORY)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a tool, before it is bound."""

    tool: ToolPlan
    values: CwlObject
    step: str  # path of the step, as `prepare[2].align`
    index: tuple[int, ...]  # place in the step's own scatter or loop

    @cached_property
    def name(self) -> str:
        """Name for people, as ``prepare[2].align[3]``."""
        return call_name(self.step, self.index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cached:
    """An identical call ran before; this one need not."""

    lookup: Lookup
    outputs: CwlObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A call that may be staged and run at once; ``lease`` holds the resources and slots that it asks for."""

    lookup: Lookup
    bound: Bound
    backend: Backend
    space: Workspace
    lease: AsyncExitStack
    inputs: Unchanged


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A call that cannot be run."""

    lookup: Lookup | None  # None: it could not even be looked up
    error: CwlPrefectError


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """A call whose command ended, however."""

    job: ContainerJob
    outcome: JobOutcome


Prepared: TypeAlias = Cached | Ready | Refused
"""What preparing a call came to; its ``lookup`` must be released after the last try, the ``lease`` after this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of one call of a command line tool.

    Attributes:
        run: What all calls of the run share.
        call: The call.
        number: Which try it is, counted from 1.
        lookup: What an earlier try found in the cache; None: this is the one that looks it up.
    """

    run: Run
    call: Call
    number: int = 1
    lookup: Lookup | None = None

    async def prepare(self) -> Prepared:
        """Look the call up in the cache; where it is not there, bind it and reserve what it asks for."""
        lookup = self.lookup
        try:
            if lookup is None:
                lookup = await self._look_up()
            if lookup.outputs is not None:
                return Cached(lookup=lookup, outputs=lookup.outputs)
            return await self._ready(lookup)
        except CwlPrefectError as error:
            return Refused(lookup=lookup, error=error)
        except BaseException:
            if lookup is not None and lookup is not self.lookup:
                lookup.release()
            raise

    @asynccontextmanager
    async def executed(self, ready: Ready) -> AsyncIterator[Executed]:
        """Stage a call that was prepared, and run its command to its end; what ran it may exist until the body ends.

        Raises:
            CwlPrefectError: It could not be run.
        """
        async with AsyncExitStack() as job_exists:
            with _named(self.call.name):
                left = await self._left_running(ready)
                staging = self.run.in_thread if _copies(ready) else _at_once
                job = left.job if left is not None else await staging(self.stage, ready)
                most, secret = self.run.settings.log_lines, self.run.secret
                with followed(job.stderr, name=self.call.name, most=most, secret=secret):
                    handle = left if left is not None else await ready.backend.start(job)
                    outcome = await job_exists.enter_async_context(ended(ready.backend, handle))
            yield Executed(job=job, outcome=outcome)

    async def collect(self, ready: Ready, executed: Executed) -> CwlObject:
        """Return the outputs of a call whose command ended: check, collect, validate, keep.

        Raises:
            CwlPrefectError: It failed; the text holds the evidence.
        """
        outcome = executed.outcome
        self._check(ready, executed.job, outcome)
        small = is_small(ready.space.out)
        collecting = _at_once if small and self.run.binder.collects_quickly(self.call.tool) else self.run.in_thread
        outputs = await collecting(self._collect, ready, outcome)
        await self._keep(ready, outputs, small=small)
        return outputs

    async def tidy(self, ready: Ready) -> None:
        """Remove what nobody needs any more, now that no later driver can take the call over."""
        quick = is_small(ready.space.out) and not _copies(ready)
        await (_at_once if quick else self.run.in_thread)(self._tidy, ready)

    def shown(self, job: ContainerJob) -> ContainerJob:
        """Return a job whose command has no secrets."""
        if not self.run.secret:
            return job
        return replace(job, command=tuple(text_without(word, self.run.secret) for word in job.command))

    def keep_evidence(self, ready: Ready) -> None:
        """Keep what shows what a call did: what it left, what it printed, and its command as a script."""
        settled = workspaces.settle(ready.space)
        if self.run.settings.keep is not Keep.NEVER and settled.root.is_dir():
            self._write_script(ready, settled)

    def _write_script(self, ready: Ready, settled: Workspace) -> None:
        limited, secret = self._limited(ready), self.run.secret
        script = ScriptOfCall(name=self.call.name, call=limited, secret=secret, before=ready.space, after=settled)
        try:
            script.write()
        except OSError as error:
            _logger.debug("the command of %s cannot be written to %s: %s", self.call.name, settled.root, error)

    async def _look_up(self) -> Lookup:
        if self.run.cache is None:
            return Lookup()
        self.run.binder.demand_readable(self.call.tool, self.call.values, name=self.call.name)
        backend = await self.run.backends.choose(self.call.tool, name=self.call.name)
        space = self._workspace()
        outdir = space.out if self.run.settings.keep is Keep.ALWAYS else space.root
        with _named(self.call.name):
            return await self.run.cache.look_up(self.call.tool, self.call.values, backend, self._place(outdir))

    async def _ready(self, lookup: Lookup) -> Ready:
        run, call = self.run, self.call
        rank = run.priorities.rank(call.step, call.tool)
        lease = AsyncExitStack()
        try:
            await lease.enter_async_context(run.limits.held(slots_of(call.tool, call.step), call.name))
            async with run.ahead.turn(rank):
                backend = await run.backends.choose(call.tool, name=call.name)
                space = self._own_workspace(backend)
                bound = await self._reserved(lease, backend, space, rank, recording=lookup.call is not None)
        except BaseException:
            await lease.aclose()
            raise
        inputs = Unchanged.of(bound.call)
        return Ready(lookup=lookup, bound=bound, backend=backend, space=space, lease=lease, inputs=inputs)

    async def _reserved(
        self, lease: AsyncExitStack, backend: Backend, space: Workspace, rank: Rank, *, recording: bool
    ) -> Bound:
        """Bind the call, and wait for the resources that it asks for."""
        pool = _pool(self.run, backend)
        try:
            bound = await self._bind(backend, space, recording=recording)
            bound = _asking(bound, pool.fitted(bound.call.resources, self.call.step))
            pool.check(bound.call.resources, self.call.name)
            await lease.enter_async_context(pool.reserve(bound.call.resources, priority=rank.priority))
        except BaseException:
            self.run.scratch.give_back(space)
            raise
        return bound

    def _workspace(self) -> Workspace:
        return workspaces.locate(self.run.runs, self.run.run_id, self.call.step, self.call.index)

    def _own_workspace(self, backend: Backend) -> Workspace:
        """Return the workspace of this call, with a scratch directory where nobody looks for it there later."""
        passing = self.run.settings.keep is not Keep.ALWAYS and not backend.capabilities.outlives_driver
        if not passing or gives_outdir(self.call.tool):
            return self._workspace()
        with _named(self.call.name):
            return replace(self._workspace(), scratch=self.run.scratch.take())

    async def _bind(self, backend: Backend, space: Workspace, *, recording: bool) -> Bound:
        can, binder, call = backend.capabilities, self.run.binder, self.call
        place = Place(
            outdir=space.out,
            tmpdir=space.tmp,
            stagedir=space.stage,
            containers=can.containers,
            mounts=can.mounts,
            default_image=self.run.settings.default_image,
            search_path=search_path(),
            least_ram_mib=self.run.retries.ram_mib(call.name),
            recording=recording,
        )
        bound = binder.bind_at_once(call.tool, call.values, place, name=call.name)
        if bound is None:
            bound = await self.run.in_thread(binder.bind, call.tool, call.values, place, name=call.name)
        return bound

    async def _left_running(self, ready: Ready) -> JobHandle | None:
        """Take over what an earlier driver of this run started for the call, whichever try it was."""
        if not self.run.again or self.number > 1 or not ready.backend.capabilities.outlives_driver:
            return None
        tries = 1 + sum(self.run.retries.policy.most.values())
        return await adopted(
            ready.backend,
            self._limited(ready),
            ready.space,
            name=self.call.name,
            job_ids=[self._job_id(number) for number in range(tries, 0, -1)],
            labels=self._labels(ready),
        )

    def stage(self, ready: Ready) -> ContainerJob:
        """Put the files of a call in place, and return what its backend is to run."""
        demand_room(self.run.runs, self.run.settings.least_free_mib)
        workspaces.create(ready.space)
        job = stage(
            self._limited(ready),
            ready.space,
            job_id=self._job_id(self.number),
            name=self.call.name,
            mounts=ready.backend.capabilities.mounts,
            labels=self._labels(ready),
        )
        if _logger.isEnabledFor(logging.INFO):
            _logger.info("%s", start_told(job, ready.bound.call, self.run.secret))
        return job

    def _limited(self, ready: Ready) -> BoundCall:
        """Return what is to be run, with the limits and variables that the settings add."""
        bound, traced = ready.bound.call, self.run.trace_context(self.call.name)
        timeout_s = bound.timeout_s or self.run.settings.step_timeout_s
        if not traced and timeout_s == bound.timeout_s:
            return bound
        return replace(bound, env={**bound.env, **traced}, timeout_s=timeout_s)

    def _job_id(self, number: int) -> str:
        return f"{self.run.run_id}-{self.call.name}-{number}"

    def _labels(self, ready: Ready) -> dict[str, str]:
        labels = {FLOW_RUN_LABEL: self.run.run_id, STEP_LABEL: self.call.name}
        if ready.backend.capabilities.outlives_driver:
            labels[CALL_LABEL] = identity(ready.bound.call)
        return labels

    def _check(self, ready: Ready, job: ContainerJob, outcome: JobOutcome) -> None:
        """Raise what the end of a job means, unless it is one that the tool calls a success."""
        bound, code = ready.bound.call, outcome.exit_code
        if outcome.reason in (Reason.EXITED, Reason.SIGNALED) and code is not None:
            failing = bound.temporary_fail_codes | bound.permanent_fail_codes
            if code in bound.success_codes or (code == 0 and code not in failing):
                return
        settled = workspaces.settle(ready.space)
        stdout, stderr = (Path(settled.of_text(str(path), ready.space)) for path in (job.stdout, job.stderr))
        job = replace(job, stdout=stdout, stderr=stderr)
        limits = RunLimits(
            time=bound.timeout_s is None,
            memory=self._at_memory_cap(job),
            together=not ready.backend.capabilities.schedules,
        )
        job = self.shown(job)
        lines, root = self.run.settings.log_tail_lines, ready.space.root
        taken = told_inputs(self.call.tool, self.call.values, self.run.secret)
        message, hint = explain(outcome, job, taken=taken, tail_lines=lines, workspace=root, limits=limits)
        message = text_without(message, self.run.secret)
        if outcome.reason is Reason.NO_IMAGE:
            raise ImageError(message, hint=hint)
        error = failure_of(outcome, bound)(message, step=self.call.name, exit_status=code, hint=hint)
        error.parts = ("baseCommand",)
        raise error

    def _collect(self, ready: Ready, outcome: JobOutcome) -> CwlObject:
        """Collect the outputs and validate them."""
        bound, space = ready.bound, ready.space
        if not ready.backend.capabilities.mounts:
            ready.inputs.demand(name=self.call.name)
        relink(bound.call, space)
        outputs = bound.collect(space.out, outcome.exit_code or 0)
        hold(validate(outputs, bound.call, space.out, name=self.call.name), name=self.call.name)
        clear_setuid(outputs, space.out, name=self.call.name)
        declared = {port.id for port in self.call.tool.outputs}
        return {port: value for port, value in outputs.items() if port in declared}

    def _tidy(self, ready: Ready) -> None:
        self.run.scratch.give_back(ready.space)
        if self.run.settings.keep is Keep.ALWAYS:
            self._write_script(ready, ready.space)
        else:
            workspaces.tidy(ready.space)

    async def _keep(self, ready: Ready, outputs: CwlObject, *, small: bool) -> None:
        """Keep the outputs in the cache, where there is one."""
        if self.run.cache is not None:
            place, recorder = self._place(ready.space.out), ready.bound.recorder
            ran = Ran(tool=self.call.tool.name, recorded=None if recorder is None else recorder.recorded())
            await self.run.cache.keep(ready.lookup, outputs, place, ran, quickly=small)

    def _place(self, outdir: Path) -> CallPlace:
        return CallPlace(step=self.call.step, name=self.call.name, outdir=outdir)

    def _at_memory_cap(self, job: ContainerJob) -> bool:
        """Check whether the call's memory had grown to the most that the settings let it have."""
        most_mib, grown_mib = self.run.settings.memory_most_mib, self.run.retries.ram_mib(self.call.name)
        return most_mib is not None and grown_mib is not None and job.resources.ram_mib >= most_mib


async def _at_once(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do what takes less time than a hop to a thread."""
    return function(*args, **kwargs)


def _asking(bound: Bound, resources: Resources) -> Bound:
    if resources is bound.call.resources:
        return bound
    return replace(bound, call=replace(bound.call, resources=resources))


def _copies(ready: Ready) -> bool:
    return any(entry.kind in COPIED_KINDS for entry in ready.bound.call.entries)


def _pool(run: Run, backend: Backend) -> ResourcePool:
    return run.cluster if backend.capabilities.schedules else run.pool


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Name the call in errors of a backend, which knows none."""
    try:
        yield
    except BackendError as error:
        raise error.naming(name) from error
