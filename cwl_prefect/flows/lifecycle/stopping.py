"""End a run when somebody asks for it: by Ctrl-C, by ``cwl-prefect runs cancel``, by the UI, or by an automation.

A worker kills the process of a run that is to be cancelled; a run that no worker started is watched by itself.
"""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any, TypeGuard, TypeVar

import anyio
from prefect import State, get_client
from prefect.client.schemas.objects import StateType
from prefect.context import FlowRunContext

from cwl_prefect._lib.cancellation import cancel_and_wait
from cwl_prefect.engine.records.manifest import Outcome
from cwl_prefect.errors import InterruptedRunError
from cwl_prefect.flows.execution.run import Progress, RunReport, Stopped
from cwl_prefect.flows.lifecycle.signalled import is_signalled

T = TypeVar("T")

POLL_INTERVAL_S = 2.0
ANSWER_S = 3.0
INTERRUPTING, INTERRUPTED = "Interrupting", "Interrupted"
"""Names of the states of a run that is to be resumed later; Prefect takes them for Cancelling and Cancelled."""
FOREVER = ", who removes its workspaces"
"""How the message of a state ends where the run cannot be resumed."""

_RESUMABLE = "`cwl-prefect runs resume` goes on with it, where its workspaces are kept."

_logger = logging.getLogger(__name__)


async def stoppable(work: Coroutine[Any, Any, T], progress: Progress) -> T:
    """Await a run's work, and end it if its flow run is to be cancelled, or a signal ends this process.

    Args:
        work: What to await.
        progress: Told whether the run is ended for good or for now, or because it took too long.

    Raises:
        InterruptedRunError: It was ended; everything that it started is gone.
    """
    working = asyncio.create_task(work, name="drive")
    asking = asyncio.create_task(_asked(), name="watch for a wish to end")
    deadline = anyio.current_effective_deadline()  # Prefect's, by the flow's time limit
    try:
        await asyncio.wait({working, asking}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        _note(asking.result(), progress)
        message = asking.result().message or "through Prefect"
    except asyncio.CancelledError:
        if not is_signalled():
            if anyio.current_time() >= deadline:
                progress.stopped = Stopped.TIMED_OUT
            raise
        _go_on()
        progress.stopped, message = Stopped.INTERRUPTED, "by a signal"
    finally:
        await cancel_and_wait(working, asking)
    done = "cancelled" if progress.stopped is Stopped.CANCELLED else "interrupted"
    raise InterruptedRunError(f"The run was {done} {message}.", hint=None if message.endswith(FOREVER) else _RESUMABLE)


def _go_on() -> None:
    """Take back that this task was cancelled, so that it can tell Prefect how the run ended."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


async def note_wish(progress: Progress) -> None:
    """Note whether Prefect knows that a run which is being cancelled is to end, as where its worker ends it.

    An API that does not answer soon is not waited for; the run can be resumed then.
    """
    context = FlowRunContext.get()
    if (
        progress.stopped in (Stopped.CANCELLED, Stopped.INTERRUPTED)
        or is_signalled()
        or context is None
        or context.flow_run is None
    ):
        return
    with contextlib.suppress(Exception):
        async with asyncio.timeout(ANSWER_S), get_client() as client:
            state = (await client.read_flow_run(context.flow_run.id)).state
            if _is_end(state):
                _note(state, progress)


def _note(state: State[object], progress: Progress) -> None:
    for_now = state.name in (INTERRUPTING, INTERRUPTED)
    progress.stopped = Stopped.INTERRUPTED if for_now else Stopped.CANCELLED


def _is_end(state: State[object] | None) -> TypeGuard[State[object]]:
    return state is not None and state.type in (StateType.CANCELLING, StateType.CANCELLED)


def ended_state(report: RunReport) -> State[object]:
    """Return the state of a flow run that was ended."""
    name = "Cancelled" if report.outcome is Outcome.CANCELLED else INTERRUPTED
    return State(type=StateType.CANCELLED, name=name, message=report.errors[-1].message)


async def _asked() -> State[object]:
    """Wait until somebody wants the flow run to end."""
    await asyncio.sleep(POLL_INTERVAL_S)
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        await asyncio.Event().wait()
        raise AssertionError("nobody can ask for it")
    async with get_client() as client:
        while True:
            try:
                state = (await client.read_flow_run(context.flow_run.id)).state
            except Exception as error:  # noqa: BLE001 - whatever ails the API now is no reason to end a run
                _logger.debug("the state of the flow run cannot be read: %s", error)
            else:
                if _is_end(state):
                    return state
            await asyncio.sleep(POLL_INTERVAL_S)
