"""Tell the API once more how task runs ended, where the local server was killed before it wrote that down.

Task runs tell a server by events, which it writes down a little later, many at a time. What it had heard only is lost
with it, and so may be what was said while there was none: such a task run would seem to go on for ever.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from prefect import State, get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, TaskRunFilter
from prefect.client.schemas.objects import StateType, TaskRun
from prefect.client.schemas.sorting import TaskRunSort
from prefect.states import Crashed

from cwl_prefect.flows.cleanup import cleaned_up
from cwl_prefect.flows.server import ApiEndpoint, server_files
from cwl_prefect.flows.server_state import read_state
from cwl_prefect.settings import Settings

MOST_OPEN = 200  # Prefect gives no more task runs at once
WRITTEN_S = 1.5  # the server writes down once a second what it has heard
_OPEN = (StateType.PENDING, StateType.RUNNING, StateType.SCHEDULED)


class Endings:
    """How the task runs of this process ended."""

    def __init__(self) -> None:
        self._known: dict[UUID, tuple[StateType, str | None, str | None]] = {}
        self._flow_runs: set[UUID] = set()

    def note(self, state: State[Any]) -> None:
        """Remember the last state of a task run, without its result."""
        details = state.state_details
        if details.task_run_id is not None and details.flow_run_id is not None:
            self._known[details.task_run_id] = (state.type, state.name, state.message)
            self._flow_runs.add(details.flow_run_id)

    async def tell(self) -> None:
        """Close the task runs of this process's flow runs that the API takes for unfinished."""
        if not self._flow_runs:
            return
        await asyncio.sleep(WRITTEN_S)
        async with get_client() as client:
            while left := await open_task_runs(client, self._flow_runs):
                await asyncio.gather(
                    *(client.set_task_run_state(one.id, self._ending_of(one.id), force=True) for one in left)
                )

    def _ending_of(self, task_run_id: UUID) -> State[Any]:
        known = self._known.get(task_run_id)
        if known is None:
            return Crashed(message="How it ended is not known: the local server was killed meanwhile")
        kind, name, message = known
        return State(type=kind, name=name, message=message)


_ENDINGS: ContextVar[Endings | None] = ContextVar("cwl_prefect_endings", default=None)


def note_ending(state: State[Any]) -> None:
    """Remember how a task run ended for as long as the local server may be killed."""
    endings = _ENDINGS.get()
    if endings is not None:
        endings.note(state)


@asynccontextmanager
async def told_again(endpoint: ApiEndpoint, settings: Settings) -> AsyncIterator[None]:
    """Let the API know in the end how all task runs ended that were begun meanwhile, although its server was killed.

    It costs nothing where the server lives on, and takes a bounded time otherwise.
    """
    if not endpoint.ours:
        yield
        return
    files, endings = server_files(settings), Endings()
    before = read_state(files)
    token = _ENDINGS.set(endings)
    try:
        yield
    finally:
        _ENDINGS.reset(token)
        if files.state.exists() and read_state(files) != before:  # who stops it takes its record away
            what = "the local server was killed meanwhile; how task runs ended could not be told to it again"
            await cleaned_up((what, endings.tell()))


async def open_task_runs(client: PrefectClient, flow_run_ids: set[UUID]) -> list[TaskRun]:
    """Give task runs of some flow runs that the API takes for unfinished, no more than Prefect gives at once."""
    return await client.read_task_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=list(flow_run_ids))),
        task_run_filter=TaskRunFilter.model_validate({"state": {"type": {"any_": _OPEN}}}),
        sort=TaskRunSort.ID_DESC,
        limit=MOST_OPEN,
    )
