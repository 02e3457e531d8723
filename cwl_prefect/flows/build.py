"""From a plan to a Prefect flow whose parameters are the workflow's inputs."""

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from prefect import State
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.filesystems import LocalFileSystem
from prefect.logging import get_run_logger
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH
from prefect.states import Completed, Failed, exception_to_failed_state
from prefect.utilities.annotations import quote

from cwl_prefect._lib.cancellation import shielded
from cwl_prefect.backends.base import Backend
from cwl_prefect.cwl.access.host_files import HostFiles
from cwl_prefect.cwl.binding.inputs import prepare_inputs
from cwl_prefect.cwl.javascript import engine
from cwl_prefect.engine.outputs.publish import publish
from cwl_prefect.engine.records.manifest import Outcome
from cwl_prefect.engine.staging import workspace as workspaces
from cwl_prefect.engine.workflow.stages import demand_variables
from cwl_prefect.errors import CwlPrefectError, InterruptedRunError, ServerError
from cwl_prefect.flows.callbacks import Callbacks, all_callbacks
from cwl_prefect.flows.cleanup import cleaned_up
from cwl_prefect.flows.deployment.reference import Deployed, referred_order
from cwl_prefect.flows.endings import closed_for
from cwl_prefect.flows.execution.backends import Backends
from cwl_prefect.flows.execution.driver import Driver, Scope
from cwl_prefect.flows.execution.failures import failed_state
from cwl_prefect.flows.execution.nested import count_unscattered
from cwl_prefect.flows.execution.observing import observed
from cwl_prefect.flows.execution.run import Progress, Run, RunReport, RunRequest
from cwl_prefect.flows.execution.task_runs import Tasks
from cwl_prefect.flows.flow import Body, CwlFlow, Rebuild
from cwl_prefect.flows.lifecycle.audit import audited
from cwl_prefect.flows.lifecycle.console import outlive_readers
from cwl_prefect.flows.lifecycle.hooks import ends_of_pod, reaper
from cwl_prefect.flows.lifecycle.opening import open_run
from cwl_prefect.flows.lifecycle.recording import clear, concluded, recorded
from cwl_prefect.flows.lifecycle.run_log import tell_errors_by_text, warnings_in_log
from cwl_prefect.flows.lifecycle.stopping import ended_state, note_wish, stoppable
from cwl_prefect.flows.lifecycle.sweeping import swept
from cwl_prefect.flows.parameters import docstring, signature
from cwl_prefect.flows.prefect_names import flow_name
from cwl_prefect.flows.storage_blocks import lent_by_block
from cwl_prefect.flows.tagging import marked, untagged
from cwl_prefect.model.callbacks import Callback
from cwl_prefect.model.events import Observers, RunStarted
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.model.values import CwlObject
from cwl_prefect.settings import OnError, Settings
from cwl_prefect.storage import downloads
from cwl_prefect.storage.stac.documents import demand_installed
from cwl_prefect.storage.stac.stage_out import Delivery, staged_out


def build_flow(  # noqa: PLR0913 - all that a flow may be given
    plan: WorkflowPlan,
    settings: Settings,
    *,
    validate: bool = True,
    deployed: Deployed | None = None,
    backend: Backend | None = None,
    callbacks: Sequence[Callback] = (),
    observers: Observers = (),
) -> CwlFlow:
    """Build the flow of a plan.

    Its parameters have the types, defaults and descriptions of the workflow's inputs; it returns the workflow's output
    object, with every file published to the destination.

    Args:
        plan: What the flow runs.
        settings: What its runs use.
        validate: Whether Prefect checks the parameters; not needed where the job order was checked already.
        deployed: What a deployment adds: what its job order gives need not be a parameter.
        backend: Runs every tool call; chosen by the settings where none is given.
        callbacks: What to call when something happens.
        observers: Told what happens; of a class each run gets its own.
    """
    backends = None if backend is None else Backends.of(backend, settings)
    wanted = partial(
        RunRequest, settings=settings, backends=backends, callbacks=tuple(callbacks), observers=tuple(observers)
    )
    body = _body_of(plan, deployed or Deployed(plan=plan), settings, wanted)
    stays = _present(backend=backend, callbacks=callbacks, observers=observers)
    again = partial(
        build_flow,
        plan,
        validate=validate,
        deployed=deployed,
        backend=backend,
        callbacks=callbacks,
        observers=observers,
    )
    listed = backends is None or not backends.fake
    return _flow(body, plan, settings, rebuild=again, stays=stays, listed=listed, validate_parameters=validate)


def _body_of(plan: WorkflowPlan, known: Deployed, settings: Settings, wanted: Callable[..., RunRequest]) -> Body:
    """Return what a flow runs: the plan, as it is wanted, with the parameters as its job order."""

    async def _body(**parameters: Any) -> CwlObject | State[object]:
        with await lent_by_block(settings):
            found = await asyncio.to_thread(referred_order, plan, settings)
            order = prepared(plan, known.order(parameters, found), settings)
            return _outputs_or_state(await run_plan(plan, wanted(job_order=order)), settings)

    return _presented(_body, plan, known.signature)


def _present(**given: object) -> tuple[str, ...]:
    return tuple(name for name, value in given.items() if value)


def _presented(body: Body, plan: WorkflowPlan, shown: inspect.Signature) -> Body:
    """Let a function show Prefect what its workflow takes and is."""
    body.__signature__ = shown  # type: ignore[attr-defined]
    body.__annotations__ = {name: found.annotation for name, found in shown.parameters.items()}
    body.__name__ = body.__qualname__ = "".join(c if c.isalnum() else "_" for c in plan.name)
    body.__doc__ = docstring(plan)
    return body


def build_requested_flow(plan: WorkflowPlan, request: RunRequest, *, shown: bool) -> CwlFlow:
    """Build the flow of one run, whose last state has its :class:`RunReport`; its parameters are only for people.

    Args:
        plan: What the flow runs.
        request: The run that is wanted.
        shown: Whether its parameters are the workflow's inputs, as far as they are not too large for that.
    """

    async def _body(**_: Any) -> State[object]:
        return await _reporting_state(await run_plan(plan, request), request.settings)

    async def _reference(inputs: str) -> State[object]:  # noqa: ARG001 - shown with the flow run
        return await _body()

    def _again(settings: Settings) -> CwlFlow:
        return build_requested_flow(plan, replace(request, settings=settings), shown=shown)

    body = _presented(_body, plan, signature(plan)) if shown else _reference
    listed = request.backends is None or not request.backends.fake
    options = {"listed": listed, "validate_parameters": False, "persist_result": False}
    made = _flow(body, plan, request.settings, rebuild=_again, **options)
    # Its results are persisted nowhere, yet Prefect would ask the API first where that would be.
    made.result_storage = LocalFileSystem(basepath=str(PREFECT_LOCAL_STORAGE_PATH.value()))
    return made


def _outputs_or_state(report: RunReport, settings: Settings) -> CwlObject | State[object]:
    """Return what the flow of a user gives: its outputs, or the state that says why there are none.

    Raises:
        CwlPrefectError: It failed, and its error says all.
    """
    if not report.errors:
        return report.outputs
    state = _unfinished_state(report, settings)
    if state is None:
        raise report.errors[0]
    return state


async def _reporting_state(report: RunReport, settings: Settings) -> State[object]:
    """Return the state of a run with its report, through which Prefect does not walk."""
    if not report.errors:
        return Completed(data=quote(report))
    state = _unfinished_state(report, settings)
    if state is None:
        _log_failures(report.errors[:1])
        failed = await exception_to_failed_state(report.errors[0], message="Flow run encountered an exception:")
        state = Failed(message=failed.message)
    state.data = quote(report)
    return state


def _unfinished_state(report: RunReport, settings: Settings) -> State[object] | None:
    """Return the state of a run that was ended, or that says more than its error."""
    if report.outcome in (Outcome.CANCELLED, Outcome.INTERRUPTED):
        return ended_state(report)
    state = failed_state(report, settings.on_error)
    if state is not None:
        _log_failures(report.errors)
    return state


def _flow(body: Body, plan: WorkflowPlan, settings: Settings, *, rebuild: Rebuild, **options: Any) -> CwlFlow:
    tell_errors_by_text()
    conclude, reap, last = concluded(settings), reaper(settings), ends_of_pod()
    return CwlFlow.of(
        body,
        plan,
        settings,
        rebuild=rebuild,
        name=flow_name(plan.name),
        version=plan.digest[:12],
        description=plan.doc or plan.label,
        timeout_seconds=settings.run_timeout_s,
        result_serializer="json",
        on_completion=[conclude, *last],
        on_failure=[conclude, *last],
        on_cancellation=[reap, conclude, *last],
        on_crashed=[reap, conclude, *last],
        **options,
    )


def prepared(plan: WorkflowPlan, order: Mapping[str, Any], settings: Settings) -> CwlObject:
    """Fill the defaults of a job order and check it, before anything runs.

    Raises:
        InputError: It does not fit the workflow or names what the run may not read, or a variable is not set.
        UsageError: Catalogs are to be staged, and the package that reads them is not installed.
    """
    if settings.stage_in is not None or settings.stage_out is not None:
        demand_installed()
    demand_variables(plan)
    host_files = HostFiles.of(plan, settings)
    for part in plan.named_files:
        if part.included:
            host_files.demand_location(part.location)
    downloads.install(downloads.downloads_of(settings))
    engine.install(timeout_s=settings.javascript_timeout_s, memory_mib=settings.javascript_memory_mib)
    host_files = host_files.with_named(dict(order))
    with host_files.reaching():
        return prepare_inputs(
            plan, order, ontology=plan.ontology, outermost=True, name=plan.name, host_files=host_files
        )


async def run_plan(plan: WorkflowPlan, request: RunRequest) -> RunReport:
    """Run a plan inside a flow run: drive it, publish its outputs, clean up.

    Args:
        plan: What to run.
        request: The run that is wanted.

    Raises:
        CwlPrefectError: It could not begin.
    """
    outlive_readers()
    flow_run, progress = _flow_run(), Progress()
    began = RunReport(outcome=Outcome.RUNNING, flow_run_id=str(flow_run.id), url=page_of(str(flow_run.id)))
    try:
        with warnings_in_log():
            callback_failures = await stoppable(_opened(plan, request, flow_run, progress), progress)
    except InterruptedRunError as error:
        outcome = progress.outcome(request.settings.on_error)
        return replace(began, outcome=outcome, errors=(*progress.failures, error))
    return replace(
        began,
        outcome=progress.outcome(request.settings.on_error),
        outputs=progress.outputs,
        errors=tuple(progress.failures),
        callback_failures=callback_failures,
    )


async def _opened(plan: WorkflowPlan, request: RunRequest, flow_run: FlowRun, progress: Progress) -> int:
    """Open a run, drive it, and return how many callbacks failed; what else failed is noted."""
    callbacks = Callbacks(all_callbacks(request.settings, request.callbacks))
    request = replace(request, observers=(*request.observers, *callbacks.observers))
    async with (
        open_run(plan, request, str(flow_run.id), progress) as run,
        closed_for(run.run_id, run.began_s, again=run.again),
        recorded(run, plan, flow_run),
        audited(run),
        swept(plan, request),
        observed(run),
    ):
        run.tell(_started(run, flow_run.name))
        await driven(run)
    return callbacks.failed


def _started(run: Run, name: str) -> RunStarted:
    return RunStarted(
        flow_run_id=run.run_id,
        name=name,
        url=page_of(run.run_id),
        resumed=run.again,
        began_s=run.began_s,
        plan=run.plan,
        inputs=run.request.job_order,
        settings=run.settings,
        outdir=run.outdir,
    )


async def driven(run: Run, tasks: Tasks | None = None) -> None:
    """Drive a run and clean up; note its outputs as they were published, or why there are none.

    Args:
        run: The run.
        tasks: Carries its calls through task runs; Prefect's where none is given.
    """
    plan, order, failures = run.plan, run.request.job_order, run.progress.failures
    nested, succeeded = 0 < count_unscattered(plan) <= run.settings.nested_flows, False
    try:
        if not run.backends.fake:
            await marked()
        with untagged():
            outputs, _ = await Driver(run, tasks).workflow(plan, order, Scope(nested=nested))
        if not failures or run.settings.on_error is OnError.CONTINUE:
            run.progress.outputs = await _published(outputs, run)
        succeeded = not failures
    except asyncio.CancelledError:
        await shielded(note_wish(run.progress))
        raise
    except CwlPrefectError as error:
        failures.insert(0, error)
    finally:
        cleaning = run.in_thread(clear, run, succeeded=succeeded)
        await cleaned_up((f"workspaces of the run {run.run_id} could not be cleaned up", cleaning))


def _flow_run() -> FlowRun:
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise ServerError("a plan can only run inside a Prefect flow run")
    return context.flow_run


def page_of(run_id: str) -> str | None:
    """Return the page of a flow run in the Prefect UI, where there is one."""
    from prefect.settings import PREFECT_UI_URL

    base = PREFECT_UI_URL.value()
    return f"{base}/runs/flow-run/{run_id}" if base else None


async def _published(outputs: CwlObject, run: Run) -> CwlObject:
    fixed: frozenset[str] = frozenset()
    workspace = workspaces.run_directory(run.runs, run.run_id)
    if run.settings.stage_out is not None:
        delivery = Delivery(destination=run.outdir, run_id=run.run_id, title=run.plan.name)
        outputs, fixed = await run.in_thread(staged_out, outputs, delivery)
    if isinstance(run.outdir, str):
        from cwl_prefect.engine.outputs.upload import upload
        from cwl_prefect.storage.multipart import Journal
        from cwl_prefect.storage.uploads import Place

        journal, overwrite = Journal(workspace / workspaces.UPLOADS), run.settings.overwrite
        await run.in_thread(journal.end_left)
        place = Place(run.outdir, journal=journal)
        return await upload(outputs, place, inputs=run.request.job_order, overwrite=overwrite, fixed=fixed)
    return await run.in_thread(
        publish,
        outputs,
        run.outdir,
        move_from=(workspace,),
        run_id=run.run_id,
        inputs=run.request.job_order,
        since_s=run.began_s,
    )


def _log_failures(failures: Sequence[CwlPrefectError]) -> None:
    logger = get_run_logger()
    for error in failures:
        if not error.told:
            logger.error("%s", error)
