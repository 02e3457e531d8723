"""What can be done to runs: end them, let a worker go on with them, forget them.

Everything goes through the API, so that it works from any machine; only what lies on a disk needs the machine that it
lies on.
"""

import asyncio
from datetime import UTC, datetime
from time import monotonic
from uuid import UUID

from prefect import State
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType
from prefect.states import Scheduled

from cwl_prefect.engine.records import manifest
from cwl_prefect.engine.records.audit import Act, actor
from cwl_prefect.engine.records.manifest import Outcome
from cwl_prefect.errors import InputError
from cwl_prefect.flows.driver_lock import is_driven
from cwl_prefect.flows.lifecycle.audit import record
from cwl_prefect.flows.lifecycle.collecting import remove_run_of
from cwl_prefect.flows.lifecycle.reaping import reap_run
from cwl_prefect.flows.lifecycle.recording import note_end
from cwl_prefect.flows.lifecycle.stopping import FOREVER, INTERRUPTED, INTERRUPTING
from cwl_prefect.runs.known_run import KILLED
from cwl_prefect.runs.listing import ENDED, Line, has_ended, is_killed
from cwl_prefect.runs.persisted_results import remove_results
from cwl_prefect.server.client import posting
from cwl_prefect.server.closing import close_left_open, nested_flow_runs
from cwl_prefect.server.local_server import configured_api
from cwl_prefect.settings import Settings

ANSWER_S = 20.0  # a driver that has not answered by then is gone

_WAITS = "a worker is to begin it; where that was killed, `cwl-prefect runs interrupt` it first."
_MAY_RUN = (
    "where it was killed, resume it with the CWL_PREFECT_HOME that holds its workspaces; "
    "where the machine that ran it is gone, `cwl-prefect runs interrupt --force` it first."
)


async def stop(client: PrefectClient, line: Line, *, for_now: bool, force: bool = False, delete: bool = False) -> str:
    """End a run, and give the name of the state that it came to.

    What it started is killed by its driver; where that is gone, by this process as far as it can.

    Args:
        client: The API.
        line: The run.
        for_now: Whether it is to be resumed later.
        force: Whether a driver that does not answer, and may be on another machine, is taken for gone.
        delete: Whether the caller removes its workspaces then, which its driver is told.

    Raises:
        InputError: It has ended already, its driver is on this machine and does not answer, or may be on another one.
    """
    run_id = line.flow_run.id
    if has_ended(line):
        raise InputError(f"the run {line.flow_run.name} has ended: it is {line.state}.")
    record(line.directory.parent, Act.INTERRUPTED if for_now else Act.CANCELLED, str(run_id))
    message = f"by {actor()}{FOREVER if delete else ''}"
    name = INTERRUPTING if for_now else "Cancelling"
    await client.set_flow_run_state(run_id, State(type=StateType.CANCELLING, name=name, message=message), force=True)
    if not is_killed(line) and not _was_never_begun(line):
        reached = await _ended_by_driver(client, line)
        if reached is not None:
            return reached
        _demand_no_driver(line, name, force=force)
    await reap_run(str(run_id))
    await close_left_open(posting(client), str(run_id), datetime.now(UTC))
    ended: State[object] = State(
        type=StateType.CANCELLED, name=INTERRUPTED if for_now else "Cancelled", message=message
    )
    await client.set_flow_run_state(run_id, ended, force=True)
    if line.local is not None:
        outcome = Outcome.INTERRUPTED if for_now else Outcome.CANCELLED
        note_end(line.directory, line.local.ended_as(outcome, line.local.error))
    return str(ended.name)


async def _ended_by_driver(client: PrefectClient, line: Line) -> str | None:
    """Wait for the driver to end a run, and give the name of its last state; None where it does not answer."""
    deadline = monotonic() + ANSWER_S
    while monotonic() < deadline:
        await asyncio.sleep(0.3)
        state = (await client.read_flow_run(line.flow_run.id)).state
        if state is not None and state.type in ENDED:
            return state.name or "Cancelled"
    return None


def _demand_no_driver(line: Line, state: str, *, force: bool) -> None:
    """Refuse to end a run for a driver that did not answer and may live.

    Raises:
        InputError: It is on this machine, or may be on another one.
    """
    elsewhere = line.local is None and configured_api() is not None  # the local server's drivers are all here
    here = is_driven(line.directory)
    if here or (elsewhere and not force):
        raise InputError(
            f"the driver of {line.flow_run.name} did not end it in {ANSWER_S:g} s; it is {state} now.",
            hint="look at its process." if here else "look at its worker; where its machine is gone, add --force.",
        )


async def reschedule(client: PrefectClient, line: Line) -> None:
    """Let a worker go on with a run of a deployment, wherever it is.

    Raises:
        InputError: It has no deployment, is running, or is complete.
    """
    run = line.flow_run
    ended = has_ended(line) or line.state == KILLED
    if run.state is not None and (run.state.type == StateType.COMPLETED or not ended):
        hint = None if ended else _WAITS if _was_never_begun(line) else _MAY_RUN
        raise InputError(f"the run {run.name} cannot be resumed: it is {line.state}.", hint=hint)
    if run.deployment_id is None:
        raise InputError(
            f"the run {run.name} has no deployment, and its workspaces are not on this machine.",
            hint="resume it on the machine that ran it, with the same CWL_PREFECT_HOME; "
            "workspaces of runs that succeeded are not kept.",
        )
    await client.set_flow_run_state(run.id, Scheduled(message=f"Resumed by {actor()}"), force=True)


def _was_never_begun(line: Line) -> bool:
    """Check whether a run of a deployment has no driver yet: it waits for a worker, which may have been killed."""
    run = line.flow_run
    waiting = run.state is not None and run.state.type in (StateType.SCHEDULED, StateType.PENDING)
    return waiting and run.deployment_id is not None and line.local is None


def delete_data(line: Line, settings: Settings) -> bool:
    """Remove the workspaces of a run from this machine, and tell whether there were any.

    Results that were published and objects of the call cache are no part of them.

    Raises:
        InputError: It is running.
    """
    run_id, directory = str(line.flow_run.id), line.directory
    if not directory.is_dir():
        return False
    if is_driven(directory):
        raise InputError(f"the run {run_id} is running.", hint="cancel it first.")
    remove_run_of(directory.parent, manifest.read(directory), run_id, settings)
    record(directory.parent, Act.DELETED, run_id)
    return True


async def forget(client: PrefectClient, line: Line, settings: Settings) -> None:
    """Remove a run that has ended: its workspaces here, and its records and persisted results in Prefect.

    Raises:
        InputError: It has not ended.
    """
    if not has_ended(line) and not is_killed(line):
        raise InputError(f"the run {line.flow_run.name} has not ended.", hint="cancel it first.")
    await reap_run(str(line.flow_run.id))
    delete_data(line, settings)
    await remove_results(client, line.flow_run.id)
    for nested in await nested_flow_runs(posting(client), str(line.flow_run.id), datetime.now(UTC)):
        await client.delete_flow_run(UUID(nested["id"]))
    await client.delete_flow_run(line.flow_run.id)
