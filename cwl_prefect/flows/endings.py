"""Report to the API once more how task runs ended, where the local server was killed before it wrote that down.

Task runs tell a server by events, which it writes down a little later, many at a time. What it had heard only is lost
with it, and so may be what was said while there was none: such a task run would seem to go on for ever.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

from prefect import State

from cwl_prefect.flows.cleanup import cleaned_up
from cwl_prefect.server.client import LocalApi
from cwl_prefect.server.closing import Ending, close_task_runs
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
