"""From a plan to a Prefect flow whose parameters are the workflow's inputs."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prefect import Flow, State
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger

from cwl_prefect.backends.base import Backend, shielded
from cwl_prefect.cwl import javascript
from cwl_prefect.cwl.inputs import prepare_inputs
from cwl_prefect.engine import workspace as workspaces
from cwl_prefect.engine.publish import publish
from cwl_prefect.errors import CwlPrefectError, InterruptedRunError, ServerError
from cwl_prefect.flows.audit import audited
from cwl_prefect.flows.callbacks import called_back
from cwl_prefect.flows.choose import Backends
from cwl_prefect.flows.cleanup import cleaned_up
from cwl_prefect.flows.connected import ConnectedFlow
from cwl_prefect.flows.console import outlive_readers
from cwl_prefect.flows.drive import Driver, Scope
from cwl_prefect.flows.failures import told_by_state
from cwl_prefect.flows.hooks import reap
from cwl_prefect.flows.nested import count_unscattered
from cwl_prefect.flows.params import docstring, signature
from cwl_prefect.flows.prefect_names import flow_name
from cwl_prefect.flows.recording import clear, concluded, recorded
from cwl_prefect.flows.reference import Deployed
from cwl_prefect.flows.results import destination
from cwl_prefect.flows.run import CALLER, Caller, Run, open_run
from cwl_prefect.flows.run_log import tell_errors_by_text, warnings_in_log
from cwl_prefect.flows.stopping import ended_state, note_wish, stoppable
from cwl_prefect.flows.sweeping import swept
from cwl_prefect.flows.tagging import marked, untagged
from cwl_prefect.model.callbacks import Callback
from cwl_prefect.model.events import RunStarted
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.model.values import CwlObject
from cwl_prefect.settings import OnError, Settings


def build_flow(
    plan: WorkflowPlan,
    settings: Settings,
    *,
    validate: bool = True,
    deployed: Deployed | None = None,
    backend: Backend | None = None,
    callbacks: Sequence[Callback] = (),
) -> Flow[..., Any]:
    """Build the flow of a plan.

    Its parameters have the types, defaults and descriptions of the workflow's inputs; it returns the workflow's output
    object, with every file published to the destination.

    Args:
        plan: What the flow runs.
        settings: What its runs use, unless their caller says otherwise.
        validate: Whether Prefect checks the parameters; not needed where the job order was checked already.
        deployed: What a deployment adds: what its job order gives need not be a parameter.
        backend: Runs every tool call; chosen by the settings where none is given.
        callbacks: What to call when something happens.
    """
    backends = None if backend is None else Backends.of(backend, settings)
    known = deployed or Deployed(plan=plan)

    def _body_of(settings: Settings) -> Callable[..., Any]:
        async def _body(**parameters: Any) -> CwlObject | State[object]:
            caller = CALLER.get() or Caller(settings=settings, backends=backends, callbacks=tuple(callbacks))
            if caller.job_order is not None:
                ending = await _ending(plan, caller.job_order, caller)
                # The caller has the outputs; Prefect would walk through all of them.
                return ending if isinstance(ending, State) else {}
            ready = prepared(plan, known.order(parameters), caller.settings)
            return await _ending(plan, ready, caller)

        return _presented(_body, plan, known.form)

    return _flow(_body_of, plan, settings, validate=validate)


def _presented(body: Callable[..., Any], plan: WorkflowPlan, form: WorkflowPlan) -> Callable[..., Any]:
    """Let a function show Prefect what its workflow takes and is."""
    shown = signature(form)
    body.__signature__ = shown  # type: ignore[attr-defined]
    body.__annotations__ = {name: found.annotation for name, found in shown.parameters.items()}
    body.__name__ = body.__qualname__ = "".join(c if c.isalnum() else "_" for c in plan.name)
    body.__doc__ = docstring(plan)
    return body


def build_reference_flow(plan: WorkflowPlan, settings: Settings) -> Flow[..., Any]:
    """Build the flow of a plan for a job order that the caller holds, because it is too large for flow parameters."""

    async def _body(inputs: str) -> CwlObject | State[object]:  # noqa: ARG001 - shown with the flow run
        caller = CALLER.get()
        if caller is None or caller.job_order is None:
            raise ServerError("this flow can only be called with a job order at hand")
        ending = await _ending(plan, caller.job_order, caller)
        return ending if isinstance(ending, State) else {}

    return _flow(lambda _: _body, plan, settings, validate=False)


async def _ending(plan: WorkflowPlan, order: Mapping[str, Any], caller: Caller) -> CwlObject | State[object]:
    """Run a plan, and give its outputs, or the state that says why there are none."""
    try:
        with warnings_in_log():
            return await told_by_state(stoppable(run_plan(plan, order, caller), caller), caller)
    except InterruptedRunError as error:
        caller.errors.append(error)
        return ended_state(error, caller)


def _flow(
    body_of: Callable[[Settings], Callable[..., Any]], plan: WorkflowPlan, settings: Settings, *, validate: bool
) -> Flow[..., Any]:
    tell_errors_by_text()
    conclude = concluded(settings)
    return ConnectedFlow.of(
        body_of,
        settings,
        name=flow_name(plan.name),
        version=plan.digest[:12],
        description=plan.doc or plan.label,
        timeout_seconds=settings.run_timeout_s,
        validate_parameters=validate,
        persist_result=False,
        on_completion=[conclude],
        on_failure=[conclude],
        on_cancellation=[reap, conclude],
        on_crashed=[reap, conclude],
    )


def prepared(plan: WorkflowPlan, order: Mapping[str, Any], settings: Settings) -> CwlObject:
    """Fill the defaults of a job order and check it, before anything runs.

    Raises:
        InputError: It does not fit the workflow.
    """
    javascript.install(timeout_s=settings.javascript_timeout_s, memory_mib=settings.javascript_memory_mib)
    return prepare_inputs(
        plan,
        order,
        ontology=plan.ontology,
        outermost=True,
        timeout_s=settings.javascript_timeout_s,
        name=plan.name,
    )


async def run_plan(plan: WorkflowPlan, order: Mapping[str, Any], caller: Caller) -> CwlObject:
    """Run a plan inside a flow run: drive it, publish its outputs, clean up.

    Args:
        plan: What to run.
        order: Its prepared inputs (see :func:`prepared`).
        caller: Who wants it.

    Raises:
        CwlPrefectError: A step failed; what could still be given is with the caller.
    """
    outlive_readers()
    flow_run = _flow_run()
    run_id, settings = str(flow_run.id), caller.settings
    caller.flow_run_id, caller.url = run_id, _url(run_id)
    succeeded = False
    async with (
        open_run(plan, caller, run_id) as run,
        recorded(run, plan, order, flow_run),
        audited(run),
        called_back(run),
        swept(plan, caller),
    ):
        if run.cache is not None:
            run.cache.begin(flow_run.name, plan.name)
        run.tell(RunStarted(flow_run_id=run_id, name=flow_run.name, url=caller.url))
        try:
            outputs = await _driven(run, order)
            if not caller.errors or settings.on_error is OnError.CONTINUE:
                caller.outputs = await run.in_thread(_publish, outputs, run)
            succeeded = not caller.errors
        except CwlPrefectError as error:
            caller.errors.append(error)
            raise
        finally:
            cleaning = run.in_thread(clear, run, succeeded=succeeded)
            await cleaned_up((f"workspaces of the run {run_id} could not be cleaned up", cleaning))
    if caller.errors:
        _log_failures(caller)
        raise caller.errors[0]
    return caller.outputs


async def _driven(run: Run, order: Mapping[str, Any]) -> CwlObject:
    plan = run.plan
    nested = 0 < count_unscattered(plan) <= run.settings.nested_flows
    await marked()
    try:
        with untagged():
            return await Driver(run).workflow(plan, dict(order), Scope(nested=nested))
    except asyncio.CancelledError:
        await shielded(note_wish(run.caller))
        raise


def _flow_run() -> FlowRun:
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise ServerError("a plan can only run inside a Prefect flow run")
    return context.flow_run


def _url(run_id: str) -> str | None:
    from prefect.settings import PREFECT_UI_URL

    base = PREFECT_UI_URL.value()
    return f"{base}/runs/flow-run/{run_id}" if base else None


def _publish(outputs: CwlObject, run: Run) -> CwlObject:
    place = destination(run.run_id, run.caller.outdir, run.settings)
    workspace = workspaces.run_directory(run.runs, run.run_id)
    return publish(outputs, place, move_from=(workspace,), run_id=run.run_id)


def _log_failures(caller: Caller) -> None:
    logger = get_run_logger()
    for error in caller.errors:
        logger.error("%s", error)
