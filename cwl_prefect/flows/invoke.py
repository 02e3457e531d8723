"""Call a plan's flow as a program does: find the API, check the inputs, run, and return what came of it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from prefect import Flow, State
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import CancelledRun
from prefect.flow_engine import run_flow
from prefect.utilities.annotations import quote
from pydantic import JsonValue

from cwl_prefect.backends.base import Backend
from cwl_prefect.engine.records.manifest import Outcome
from cwl_prefect.engine.records.secrets import object_without, secret_texts
from cwl_prefect.errors import CwlPrefectError, InterruptedRunError, ServerError, StepError, TimeLimitError
from cwl_prefect.flows.build import build_requested_flow, page_of, prepared
from cwl_prefect.flows.execution.backends import Backends
from cwl_prefect.flows.execution.failures import result_of
from cwl_prefect.flows.execution.run import RunReport, RunRequest
from cwl_prefect.flows.execution.work_pool import demanded
from cwl_prefect.flows.lifecycle.results import asked_destination
from cwl_prefect.flows.parameters import parameter_names
from cwl_prefect.flows.session import connected
from cwl_prefect.flows.tagging import tagged
from cwl_prefect.model.callbacks import Callback
from cwl_prefect.model.events import Observers
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.model.values import shown_value
from cwl_prefect.settings import Settings

API_MODULES = ("prefect.", "httpx", "httpcore")  # where exceptions of Prefect's API and client come from
LARGEST_PARAMETERS = 400 * 1024  # bytes; Prefect's API refuses more than 512 KiB


async def invoke(  # noqa: PLR0913 - all that a caller may choose
    plan: WorkflowPlan,
    job_order: Mapping[str, JsonValue],
    *,
    settings: Settings,
    outdir: str | Path | None,
    observers: Observers = (),
    backend: Backend | None = None,
    callbacks: Sequence[Callback] = (),
    name: str | None = None,
    tags: Sequence[str] = (),
) -> RunReport:
    """Run a plan's flow and return what came of it; failed steps are among its errors.

    Raises:
        UsageError: The destination of the results is a URL that they cannot go to.
        InputError: The job order does not fit.
        ServerError: No Prefect API can be reached or started.
        TimeLimitError: The run took longer than the settings allow.
        Exception: A fault of this package, as it was raised within a step.
    """
    settings = demanded(settings, plan)
    order = await asyncio.to_thread(prepared, plan, job_order, settings)
    backends = None if backend is None else Backends.of(backend, settings)
    request = RunRequest(
        settings=settings,
        observers=tuple(observers),
        outdir=asked_destination(outdir),
        backends=backends,
        job_order=order,
        callbacks=tuple(callbacks),
        name=name,
        tags=tuple(tags),
    )
    async with connected(settings):
        return await call(plan, job_order, request)


async def call(
    plan: WorkflowPlan, job_order: Mapping[str, JsonValue], request: RunRequest, flow_run: FlowRun | None = None
) -> RunReport:
    """Run the flow of a plan as it is requested, and return what came of it.

    Args:
        plan: What to run.
        job_order: Inputs to show with the flow run.
        request: The run that is wanted.
        flow_run: The flow run to go on with; a new one where none is given.

    Raises:
        TimeLimitError: The run took longer than the settings allow.
    """
    names = parameter_names(plan)
    open_inputs = object_without(dict(job_order), plan, secret_texts(plan, request.job_order))
    shown = {names[port]: value for port, value in open_inputs.items() if port in names}
    told = shown_value(shown, LARGEST_PARAMETERS)
    flow = build_requested_flow(plan, request, shown=told is not None)
    parameters: dict[str, Any] = {"inputs": "given by the caller; too large to be shown"} if told is None else told
    run_id: str | None = None if flow_run is None else str(flow_run.id)
    try:
        with tagged(request.tags):
            state = await _begun(flow, parameters, request, flow_run)
        run_id = str(state.state_details.flow_run_id or run_id)
        return await _reported(state)
    except CancelledRun:
        failure: CwlPrefectError = InterruptedRunError("The run was cancelled.")
    except CwlPrefectError as error:
        failure = error
    except TimeoutError as error:
        message = f"the run took longer than {request.settings.run_timeout_s:g} s and was stopped."
        raise TimeLimitError(message, hint="Allow more with --timeout.") from error
    except OSError as error:
        failure = StepError(f"This machine failed: {error}", hint="Check disks, permissions and limits.")
    except Exception as error:
        if not type(error).__module__.startswith(API_MODULES):
            raise  # a fault of ours, to be reported as one
        failure = _api_error(error)
    url = None if run_id is None else page_of(run_id)
    return RunReport(outcome=Outcome.FAILED, errors=(failure,), flow_run_id=run_id, url=url)


def _begun(
    flow: Flow[..., Any], parameters: dict[str, Any], request: RunRequest, flow_run: FlowRun | None
) -> Awaitable[State[object]]:
    if flow_run is not None:
        again = cast("Callable[..., Awaitable[State[object]]]", run_flow)
        return again(flow, flow_run=flow_run, parameters=parameters, return_type="state")
    begin = cast("Callable[..., Awaitable[State[object]]]", _named(flow, request.name))
    return begin(**parameters, return_state=True)


async def _reported(state: State[object]) -> RunReport:
    """Return the report that the flow gave, or raise why there is none: Prefect ended it, or it is a fault."""
    found = await result_of(state, raise_on_failure=False)
    if not isinstance(found, quote):
        await result_of(state)
        raise ServerError(f"Prefect's API says that the run is {state.name} before it has ended.")
    report = found.unwrap()
    assert isinstance(report, RunReport)  # noqa: S101
    return report


def _named(flow: Flow[..., Any], name: str | None) -> Flow[..., Any]:
    if name is not None:
        flow.flow_run_name = lambda: name  # a text would be taken for a template
    return flow


def _api_error(error: Exception) -> ServerError:
    return ServerError(
        f"Prefect's API failed during the run: {type(error).__name__}: {error}",
        hint="Check that the server still answers: `cwl-prefect server status`, or the address in PREFECT_API_URL.",
    )
