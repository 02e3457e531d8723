"""The whole path of one tool call: bind, reserve, stage, execute, collect, validate."""

import os
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cwl_prefect.backends.base import Backend, Confirming, JobHandle, execute, finish
from cwl_prefect.backends.naming import CALL_LABEL, FLOW_RUN_LABEL, STEP_LABEL
from cwl_prefect.cwl.bind import Bound, Place, collects_quickly
from cwl_prefect.cwl.collect import gives_outdir
from cwl_prefect.engine import workspace as workspaces
from cwl_prefect.engine.diagnose import RunLimits, explain
from cwl_prefect.engine.disk import demand_room
from cwl_prefect.engine.identity import identity
from cwl_prefect.engine.retry import failure_of
from cwl_prefect.engine.scheduler import ResourcePool
from cwl_prefect.engine.stage import relink, stage
from cwl_prefect.engine.validate import validate
from cwl_prefect.engine.workspace import Workspace
from cwl_prefect.errors import BackendError, CwlPrefectError, ImageError, MemoryStepError
from cwl_prefect.flows.adopt import adopted
from cwl_prefect.flows.cache import CallCache, CallPlace, Lookup
from cwl_prefect.flows.halt import Stop
from cwl_prefect.flows.run import Run
from cwl_prefect.flows.tool_log import followed
from cwl_prefect.model.events import StepEventKind
from cwl_prefect.model.job import (
    BoundCall,
    CallStatus,
    ContainerJob,
    EntryKind,
    JobOutcome,
    Reason,
    StepResult,
)
from cwl_prefect.model.names import call_name
from cwl_prefect.model.plan import ProcessClass, ToolPlan
from cwl_prefect.model.values import CwlObject, file_objects
from cwl_prefect.settings import Keep, Settings, search_path

SMALL_OUTPUT = 256 * 1024  # bytes
COPIED_KINDS = (EntryKind.WRITABLE_FILE, EntryKind.WRITABLE_DIRECTORY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a tool, before it is bound."""

    tool: ToolPlan
    values: CwlObject
    step: str  # path of the step, as `prepare[2].align`
    index: tuple[int, ...]  # place in the step's own scatter or loop

    @property
    def name(self) -> str:
        """Name for people, as ``prepare[2].align[3]``."""
        return call_name(self.step, self.index)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    bound: Bound
    backend: Backend
    space: Workspace


class CallWork:
    """One call as it goes through its tries; resources are held only while a try runs.

    ``prepare`` is awaited before the task run starts, so that a call waiting for resources does not look as if it ran;
    what fails there is raised by ``attempt``, where it belongs to the call.

    Args:
        run: The run.
        call: The call.
        stop: Closed by a failure that is final; no try begins once it is. None: others go on.
    """

    def __init__(self, run: Run, call: Call, *, stop: Stop | None = None) -> None:
        self._run = run
        self._call = call
        self._stop = stop
        self._lease = AsyncExitStack()
        self._prepared: _Prepared | None = None
        self._error: CwlPrefectError | None = None
        self._lookup: Lookup | None = None
        self._tries = 0

    async def prepare(self) -> None:
        """Look the call up in the cache; bind it and wait for the resources that it asks for where it is not there."""
        if self._call.tool.process_class is not ProcessClass.COMMAND_LINE_TOOL:
            return
        try:
            if self._lookup is None and self._run.cache is not None:
                self._lookup = await _look_up(self._run, self._call)
            if self._lookup is not None and self._lookup.outputs is not None:
                return
            rank = self._run.priorities.rank(self._call.step, self._call.tool)
            async with self._run.ahead.turn(rank):
                self._prepared = await _bind(self._run, self._call)
                resources = self._prepared.bound.call.resources
                pool = _pool(self._run, self._prepared.backend)
                pool.check(resources, self._call.name)
                await self._lease.enter_async_context(pool.reserve(resources, priority=rank.priority))
        except CwlPrefectError as error:
            self._error = error
        if self._stop is not None:
            await self._stop.hold()

    async def attempt(self) -> StepResult:
        """Run the call once.

        Raises:
            CwlPrefectError: It failed; the text holds the evidence.
        """
        run, call = self._run, self._call
        self._tries += 1
        if self._tries > 1:
            await self.prepare()
        if self._lookup is not None and self._lookup.outputs is not None:
            run.tell_call(StepEventKind.CACHED, call.step, call.name)
            return self._result(CallStatus.CACHED, self._lookup.outputs, None)
        if not run.retries.tried(call.name):
            run.tell_call(StepEventKind.STARTED, call.step, call.name)
        try:
            if self._error is not None:
                raise self._error
            outputs, root = await self._outputs()
        except CwlPrefectError as error:
            if self._prepared is not None:
                workspaces.settle(self._prepared.space)
            self._judge(error)
            raise
        finally:
            self._prepared, self._error = None, None
            await self._lease.aclose()
        run.tell_call(StepEventKind.SUCCEEDED, call.step, call.name)
        return self._result(CallStatus.SUCCEEDED, outputs, root)

    async def release(self) -> None:
        """Give back what a call holds that will not be tried."""
        if self._prepared is not None:
            workspaces.settle(self._prepared.space)
        if self._lookup is not None:
            self._lookup.release()
        await self._lease.aclose()

    def _result(self, status: CallStatus, outputs: CwlObject, root: Path | None) -> StepResult:
        key = None if self._lookup is None or self._lookup.key is None else self._lookup.key.digest
        return StepResult(
            step=self._call.step, index=self._call.index, status=status, outputs=outputs, workspace=root, cache_key=key
        )

    def _judge(self, error: CwlPrefectError) -> None:
        """Settle whether another try is due, and tell what happened."""
        run, call = self._run, self._call
        ram_mib = self._prepared.bound.call.resources.ram_mib if self._prepared is not None else None
        error.try_again = run.retries.another(call.name, error, ram_mib=ram_mib)
        if self._stop is not None and not error.try_again:
            self._stop.close()
        more_mib = run.retries.ram_mib(call.name)
        if error.try_again and isinstance(error, MemoryStepError) and more_mib is not None:
            run.memory.remember(call.tool, call.values, more_mib)
        kind = StepEventKind.RETRYING if error.try_again else StepEventKind.FAILED
        run.tell_call(kind, call.step, call.name, str(error))

    async def _outputs(self) -> tuple[CwlObject, Path | None]:
        run, call = self._run, self._call
        if self._prepared is None:
            return await run.in_thread(run.binder.evaluate, call.tool, call.values, name=call.name), None
        prepared = self._prepared
        outputs, small, outcome = await _execute(run, call, prepared, self._tries)
        if run.cache is not None and self._lookup is not None:
            place = CallPlace(step=call.step, name=call.name, outdir=prepared.space.out)
            await _check_key(run.cache, self._lookup, place, prepared, outcome)
            await run.cache.keep(self._lookup, outputs, place, call.tool.name, quickly=small)
        return outputs, prepared.space.root


async def _look_up(run: Run, call: Call) -> Lookup:
    assert run.cache is not None  # noqa: S101
    backend = await run.backends.choose(call.tool, name=call.name)
    with _named(call.name):
        return await run.cache.look_up(call.tool, call.values, backend, _found_at(run, call))


def _found_at(run: Run, call: Call) -> CallPlace:
    """Tell where the outputs of a call go that is found in the cache."""
    space = workspaces.locate(run.runs, run.run_id, call.step, call.index)
    outdir = space.out if run.settings.keep is Keep.ALWAYS else space.root
    return CallPlace(step=call.step, name=call.name, outdir=outdir)


async def _bind(run: Run, call: Call) -> _Prepared:
    backend = await run.backends.choose(call.tool, name=call.name)
    space = workspaces.locate(run.runs, run.run_id, call.step, call.index)
    apart = run.settings.keep is not Keep.ALWAYS and not backend.capabilities.outlives_driver
    if apart and not gives_outdir(call.tool):
        with _named(call.name):
            space = replace(space, scratch=run.scratch.take())
    place = Place(
        outdir=space.out,
        tmpdir=space.tmp,
        stagedir=space.stage,
        containers=backend.capabilities.containers,
        mounts=backend.capabilities.mounts,
        default_image=run.settings.kubernetes_default_image if backend.capabilities.schedules else None,
        search_path=search_path(),
        least_ram_mib=_least_ram_mib(run, call),
    )
    binder = run.binder
    bound = None if is_remote(call.values) else binder.bind_at_once(call.tool, call.values, place, name=call.name)
    if bound is None:
        bound = await run.in_thread(binder.bind, call.tool, call.values, place, name=call.name)
    resources = _pool(run, backend).fitted(bound.call.resources, call.step)
    if resources is not bound.call.resources:
        bound = replace(bound, call=replace(bound.call, resources=resources))
    return _Prepared(bound=bound, backend=backend, space=space)


async def _check_key(
    cache: CallCache, lookup: Lookup, place: CallPlace, prepared: _Prepared, outcome: JobOutcome
) -> None:
    """Take the key from a call that did not surely run in what its key says."""
    backend, image = prepared.backend, prepared.bound.call.image
    if lookup.key is None or image is None or not isinstance(backend, Confirming):
        return
    doubt = await backend.doubt(image, outcome)
    if doubt is not None:
        cache.refuse(place, doubt)
        lookup.key = None


async def _execute(run: Run, call: Call, prepared: _Prepared, tries: int) -> tuple[CwlObject, bool, JobOutcome]:
    """Run a call and collect its outputs; tells too whether they are small."""
    bound, backend, space = prepared.bound, prepared.backend, prepared.space
    copies = any(entry.kind in COPIED_KINDS for entry in bound.call.entries)
    with _named(call.name):
        found = await _adopted(run, call, prepared, tries)
        if found is not None:
            job = found.job
        elif copies:
            job = await run.in_thread(_stage, run, call, prepared, tries)
        else:
            job = _stage(run, call, prepared, tries)
        async with followed(job.stderr, name=call.name, most=run.settings.log_lines):
            outcome = await (execute(backend, job) if found is None else finish(backend, found))
    _check(run, call, prepared, job, outcome)
    small = is_small(space.out)
    if small and collects_quickly(call.tool):
        return _finish(run, call, prepared, outcome), small, outcome
    return await run.in_thread(_finish, run, call, prepared, outcome), small, outcome


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Name the call in errors of a backend, which knows none."""
    try:
        yield
    except BackendError as error:
        raise type(error)(f"{name}: {error.message}", hint=error.hint, passing=error.passing) from error


def is_remote(values: CwlObject) -> bool:
    """Tell whether binding has to fetch an input."""
    return any(not str(found.get("location") or "file:").startswith(("file:", "_:")) for found in file_objects(values))


def is_small(directory: Path) -> bool:
    """Tell whether reading all files of a directory takes no longer than a hop to a thread."""
    total = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            if not entry.is_file(follow_symlinks=False):
                return False
            total += entry.stat(follow_symlinks=False).st_size
            if total > SMALL_OUTPUT:
                return False
    return True


async def _adopted(run: Run, call: Call, prepared: _Prepared, tries: int) -> JobHandle | None:
    """Take over what an earlier driver of this run started for the call, whichever try it was."""
    if not run.again or tries > 1 or not prepared.backend.capabilities.outlives_driver:
        return None
    return await adopted(
        prepared.backend,
        _limited(run, prepared),
        prepared.space,
        name=call.name,
        job_ids=[_job_id(run, call, number) for number in range(_most_tries(run.settings), 0, -1)],
        labels=_labels(run, call, prepared),
    )


def _most_tries(settings: Settings) -> int:
    return 1 + settings.retries + settings.memory_retries + settings.infrastructure_retries


def _job_id(run: Run, call: Call, tries: int) -> str:
    return f"{run.run_id}-{call.name}-{tries}"


def _labels(run: Run, call: Call, prepared: _Prepared) -> dict[str, str]:
    labels = {FLOW_RUN_LABEL: run.run_id, STEP_LABEL: call.name}
    if prepared.backend.capabilities.outlives_driver:
        labels[CALL_LABEL] = identity(prepared.bound.call)
    return labels


def _limited(run: Run, prepared: _Prepared) -> BoundCall:
    bound = prepared.bound.call
    return replace(bound, timeout_s=bound.timeout_s or run.settings.step_timeout_s)


def _pool(run: Run, backend: Backend) -> ResourcePool:
    return run.cluster if backend.capabilities.schedules else run.pool


def _stage(run: Run, call: Call, prepared: _Prepared, tries: int) -> ContainerJob:
    demand_room(run.runs, run.settings.least_free_mib)
    workspaces.create(prepared.space)
    return stage(
        _limited(run, prepared),
        prepared.space,
        job_id=_job_id(run, call, tries),
        name=call.name,
        mounts=prepared.backend.capabilities.mounts,
        labels=_labels(run, call, prepared),
    )


def _finish(run: Run, call: Call, prepared: _Prepared, outcome: JobOutcome) -> CwlObject:
    bound, space = prepared.bound, prepared.space
    if prepared.backend.capabilities.mounts:
        relink(bound.call, space)
    outputs = bound.collect(space.out, outcome.exit_code or 0)
    validate(outputs, bound.call, space.out, name=call.name)
    run.scratch.give_back(space)
    if run.settings.keep is not Keep.ALWAYS:
        workspaces.tidy(space)
    declared = {port.id for port in call.tool.outputs}
    return {port: value for port, value in outputs.items() if port in declared}


def _check(run: Run, call: Call, prepared: _Prepared, job: ContainerJob, outcome: JobOutcome) -> None:
    bound, space, code = prepared.bound.call, prepared.space, outcome.exit_code
    if outcome.reason in (Reason.EXITED, Reason.SIGNALED) and code is not None:
        failing = bound.temporary_fail_codes | bound.permanent_fail_codes
        if code in bound.success_codes or (code == 0 and code not in failing):
            return
    settled = workspaces.settle(space)
    if job.stderr.parent == space.logs:
        job = replace(job, stderr=settled.logs / job.stderr.name)
    limits = RunLimits(
        time=bound.timeout_s is None,
        memory=_at_memory_cap(run, call, job),
        together=not prepared.backend.capabilities.schedules,
    )
    message, hint = explain(outcome, job, tail_lines=run.settings.log_tail_lines, workspace=space.root, limits=limits)
    if outcome.reason is Reason.NO_IMAGE:
        raise ImageError(message, hint=hint)
    raise failure_of(outcome, bound)(message, step=call.name, exit_status=code, hint=hint)


def _at_memory_cap(run: Run, call: Call, job: ContainerJob) -> bool:
    """Tell whether the memory of a call had grown to the most that the settings let it have, now or in earlier runs."""
    most_mib, grown_mib = run.settings.memory_most_mib, _least_ram_mib(run, call)
    return most_mib is not None and grown_mib is not None and job.resources.ram_mib >= most_mib


def _least_ram_mib(run: Run, call: Call) -> float | None:
    """Give the memory that a call turned out to need at least, now or in earlier runs that may have had more."""
    grown_mib = run.retries.ram_mib(call.name)
    if grown_mib is not None:
        return grown_mib
    remembered_mib = run.memory.least_mib(call.tool, call.values)
    return None if remembered_mib is None else min(remembered_mib, run.retries.policy.memory_most_mib)


def only_declared(tool: ToolPlan, values: Mapping[str, object]) -> dict[str, object]:
    """Keep the values of inputs that a tool declares; a step may have others for its expressions."""
    names = {port.id for port in tool.inputs}
    return {port: value for port, value in values.items() if port in names}
