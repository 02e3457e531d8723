"""Call a plan's flow as a program does: find the API, check the inputs, run, and tell what came of it."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from prefect import Flow, State
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import CancelledRun
from prefect.flow_engine import run_flow
from pydantic import JsonValue

from cwl_prefect.backends.base import Backend
from cwl_prefect.errors import CwlPrefectError, InterruptedRunError, ServerError, StepError, TimeLimitError
from cwl_prefect.flows.build import build_flow, build_reference_flow, prepared
from cwl_prefect.flows.choose import Backends
from cwl_prefect.flows.connected import connected
from cwl_prefect.flows.params import parameter_names
from cwl_prefect.flows.run import CALLER, Caller
from cwl_prefect.flows.tagging import tagged
from cwl_prefect.model.callbacks import Callback
from cwl_prefect.model.events import Observer
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.settings import Settings

API_MODULES = ("prefect.", "httpx", "httpcore")  # where exceptions of Prefect's API and client come from
LARGEST_PARAMETERS = 400 * 1024  # bytes; Prefect's API refuses more than 512 KiB


async def invoke(  # noqa: PLR0913 - all that a caller may choose
    plan: WorkflowPlan,
    job_order: Mapping[str, JsonValue],
    *,
    settings: Settings,
    outdir: Path | None,
    observer: Observer | None,
    backend: Backend | None = None,
    callbacks: Sequence[Callback] = (),
    name: str | None = None,
    tags: Sequence[str] = (),
) -> Caller:
    """Run a plan's flow and give what it told its caller; failed steps are among its errors.

    Raises:
        InputError: The job order does not fit.
        ServerError: No Prefect API can be reached or started.
        TimeLimitError: The run took longer than the settings allow.
        Exception: A fault of this package, as it was raised within a step.
    """
    order = await asyncio.to_thread(prepared, plan, job_order, settings)
    backends = None if backend is None else Backends.of(backend, settings)
    caller = Caller(
        settings=settings,
        observer=observer,
        outdir=outdir,
        backends=backends,
        job_order=order,
        callbacks=tuple(callbacks),
        name=name,
        tags=tuple(tags),
    )
    async with connected(settings):
        await call(plan, job_order, caller)
    return caller


async def call(
    plan: WorkflowPlan, job_order: Mapping[str, JsonValue], caller: Caller, flow_run: FlowRun | None = None
) -> None:
    """Run the flow of a plan for a caller, who is told what came of it.

    Args:
        plan: What to run.
        job_order: Inputs to show with the flow run.
        caller: Who wants it; holds the prepared inputs.
        flow_run: The flow run to go on with; a new one where none is given.

    Raises:
        TimeLimitError: The run took longer than the settings allow.
    """
    names = parameter_names(plan)
    shown = {names[port]: value for port, value in job_order.items() if port in names}
    large = len(json.dumps(shown)) > LARGEST_PARAMETERS
    flow = build_reference_flow(plan, caller.settings) if large else build_flow(plan, caller.settings, validate=False)
    parameters: dict[str, Any] = {"inputs": "given by the caller; too large to be shown"} if large else shown
    token = CALLER.set(caller)
    try:
        if flow_run is None:
            state = await _begun(flow, parameters, caller)
        else:
            again = cast("Callable[..., Awaitable[State[Any]]]", run_flow)
            state = await again(flow, flow_run=flow_run, parameters=parameters, return_type="state")
        await state.aresult()
    except CwlPrefectError as error:
        if error not in caller.errors:
            caller.errors.append(error)
    except CancelledRun:
        if not caller.errors:
            caller.errors.append(InterruptedRunError("The run was cancelled."))
    except TimeoutError as error:
        raise _too_long(caller.settings) from error
    except OSError as error:
        caller.errors.append(StepError(f"This machine failed: {error}", hint="Check disks, permissions and limits."))
    except Exception as error:
        if not type(error).__module__.startswith(API_MODULES):
            raise  # a fault of ours, to be reported as one
        caller.errors.append(_api_error(error))
    finally:
        CALLER.reset(token)


async def _begun(flow: Flow[..., Any], parameters: Mapping[str, Any], caller: Caller) -> State[Any]:
    name = caller.name
    if name is not None:
        flow.flow_run_name = lambda: name  # a text would be taken for a template
    begin = cast("Callable[..., Awaitable[State[Any]]]", flow)
    with tagged(caller.tags):
        return await begin(**parameters, return_state=True)


def _too_long(settings: Settings) -> TimeLimitError:
    return TimeLimitError(
        f"the run took longer than {settings.run_timeout_s:g} s and was stopped.",
        hint="Allow more with --timeout.",
    )


def _api_error(error: Exception) -> ServerError:
    return ServerError(
        f"Prefect's API failed during the run: {type(error).__name__}: {error}",
        hint="Check that the server still answers: `cwl-prefect server status`, or the address in PREFECT_API_URL.",
    )
