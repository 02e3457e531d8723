"""Let no task run seem to go on whose driver, or whose local server, was killed before its end was written down.

Task runs tell a server by events, which it writes down a little later, many at a time. What it had heard only is lost
with it, and so may be what was said while there was none: such a task run would seem to go on for ever. So would what
a killed driver left open in a run that another one goes on with.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from prefect import State, get_client

from cwl_prefect.flows.cleanup import cleaned_up
from cwl_prefect.server.client import LocalApi, posting
from cwl_prefect.server.closing import Ending, close_left_open, close_task_runs
from cwl_prefect.server.local_server import ApiEndpoint, server_files
from cwl_prefect.server.state import is_killed, read_state
from cwl_prefect.settings import Settings

WRITTEN_S = 1.5  # the server writes down once a second what it has heard
_UNKNOWN = Ending.crashed("How it ended is not known: the local server was killed meanwhile")


class Endings:
    """How the task runs of this process ended."""

    def __init__(self) -> None:
        self._known: dict[str, Ending] = {}
        self._flow_runs: set[str] = set()

    def note(self, state: State[object]) -> None:
        """Remember the last state of a task run, without its result."""
        details = state.state_details
        if details.task_run_id is not None and details.flow_run_id is not None:
            ending = Ending(type=state.type.value, name=state.name, message=state.message)
            self._known[str(details.task_run_id)] = ending
            self._flow_runs.add(str(details.flow_run_id))

    async def tell(self, api: LocalApi) -> None:
        """Close the task runs of this process's flow runs that the API takes for unfinished."""
        if not self._flow_runs:
            return
        await asyncio.sleep(WRITTEN_S)
        flow_runs = {"id": {"any_": sorted(self._flow_runs)}}
        await close_task_runs(api.post, flow_runs, lambda task_run: self._known.get(task_run, _UNKNOWN))


_ENDINGS: ContextVar[Endings | None] = ContextVar("cwl_prefect_endings", default=None)


def note_ending(state: State[object]) -> None:
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
        if is_killed(files) or read_state(files) not in (before, None):  # who stops it empties its record
            what = "the local server was killed meanwhile; how task runs ended could not be told to it again"
            await cleaned_up((what, endings.tell(LocalApi(url=endpoint.url, auth=endpoint.auth))))


@asynccontextmanager
async def closed_for(run_id: str, began_s: float, *, again: bool) -> AsyncIterator[None]:
    """Close what killed drivers of a run left open, before another one goes on with it, and once more when it ends.

    Args:
        run_id: The run.
        began_s: When the driver began that goes on with it, in seconds since the epoch.
        again: Whether there was one before it.
    """
    if not again:
        yield
        return
    failed = f"what an earlier driver of the run {run_id} left open may seem to go on in Prefect"
    began = datetime.fromtimestamp(began_s, UTC)
    await cleaned_up((failed, close_what_is_left(run_id, began, after_s=0)))
    try:
        yield
    finally:
        not_yet_written_s = began_s + WRITTEN_S - time.time()
        await cleaned_up((failed, close_what_is_left(run_id, began, after_s=not_yet_written_s)))


async def close_what_is_left(run_id: str, began: datetime | None = None, *, after_s: float = WRITTEN_S) -> None:
    """Close what killed drivers of a run left open.

    Args:
        run_id: The run.
        began: When the driver began that goes on with it; None where there is none.
        after_s: How many seconds to wait first: what the server heard last it writes down a little later.
    """
    before = began or datetime.now(UTC)
    await asyncio.sleep(max(0.0, after_s))
    async with get_client() as client:
        await close_left_open(posting(client), run_id, before)
