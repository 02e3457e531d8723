"""Close the task runs and nested flow runs that seem to go on because a driver or the local server was killed.

Task runs tell a server by events, which it writes down a little later, many at a time: what it had only heard is lost
with it. A driver tells at its end how its task runs ended, one that goes on with the run of a killed driver closes what
was left open (:mod:`cwl_prefect.flows.endings`), and a server that follows a killed one closes what was open in runs
that had ended before.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from cwl_prefect.errors import CwlPrefectError
from cwl_prefect.server.client import ApiPath, Post

HEARD_S = 5.0  # drivers that were about to end are heard first
LIMIT_S = 60.0
MOST = 200  # Prefect gives no more at once
PAGES = 5  # what the server writes down at once is among the latest
_TASK_RUN_STATE: Final = "/task_runs/{id}/set_state"
_OPEN = ("PENDING", "RUNNING", "SCHEDULED")
_ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a task run ended, as the API takes it."""

    type: str
    name: str | None
    message: str | None = None

    @classmethod
    def crashed(cls, message: str) -> "Ending":
        """Return the ending of a task run of which nobody knows more."""
        return cls(type="CRASHED", name="Crashed", message=message)


_TOLD_BY_RUN: Final = Ending(type="COMPLETED", name="Completed", message="Told by the end of its run")
_DRIVER_KILLED: Final = Ending.crashed("Its driver was killed")  # calls that go on get new task runs
_UNKNOWN: Final = Ending.crashed("How it ended is not known: the local server was killed")


async def close_task_runs(
    post: Post,
    flow_runs: Mapping[str, object],
    ending: Callable[[str], Ending],
    *,
    before: datetime | None = None,
) -> None:
    """Close the task runs that an API takes for unfinished.

    Args:
        post: Asks the API.
        flow_runs: Filter of the flow runs that they belong to.
        ending: Returns how a task run ended, by its id.
        before: Only those that began before this moment.
    """
    task_runs: dict[str, object] = {"state": {"type": {"any_": _OPEN}}}
    if before is not None:
        task_runs["expected_start_time"] = {"before_": before.isoformat()}
    chosen = {"flow_runs": flow_runs, "task_runs": task_runs, "limit": MOST}
    closed: set[str] = set()
    while left := {each["id"] for each in await _task_runs(post, chosen)} - closed:
        await asyncio.gather(*(_set_state(post, _TASK_RUN_STATE, each, ending(each)) for each in left))
        closed |= left


async def close_left_open(post: Post, run_id: str, began: datetime) -> None:
    """Close what killed drivers of a run left open: its task runs, and the flow runs nested in it with theirs.

    Args:
        post: Asks the API.
        run_id: The run.
        began: Only what is older; when the driver began that goes on with it.
    """
    nested = await nested_flow_runs(post, run_id, began)
    for each in nested:
        if each["state_type"] in _OPEN:
            await _set_state(post, "/flow_runs/{id}/set_state", each["id"], _DRIVER_KILLED)
    flow_runs = {"id": {"any_": [run_id, *(each["id"] for each in nested)]}}
    await close_task_runs(post, flow_runs, _always(_DRIVER_KILLED), before=began)


async def nested_flow_runs(post: Post, run_id: str, before: datetime) -> Sequence[dict[str, Any]]:
    """Return the flow runs that were nested in a run before a moment, however deep; the outer ones come first."""
    found: list[dict[str, Any]] = []
    parents = [run_id]
    while parents:
        older = {"parent_flow_run_id": {"any_": parents}, "expected_start_time": {"before_": before.isoformat()}}
        page = await _filtered(post, "/flow_runs/filter", {"flow_runs": older, "limit": MOST})
        found.extend(page)
        parents = [each["id"] for each in page]
    return found


async def close_after_kill(post: Post) -> None:
    """Close what was open in runs that had ended before now; a failure is told to the server's log."""
    ended_before = datetime.now(UTC).isoformat()
    await asyncio.sleep(HEARD_S)
    # A run is only complete when all its task runs are.
    endings = (("COMPLETED",), _TOLD_BY_RUN), (_ENDED[1:], _UNKNOWN)
    try:
        async with asyncio.timeout(LIMIT_S):
            for kinds, ending in endings:
                ended = {"state": {"type": {"any_": kinds}}, "end_time": {"before_": ended_before}}
                await close_task_runs(post, ended, _always(ending))
            await _complete(post)
    except (CwlPrefectError, ValueError, TypeError, KeyError, TimeoutError) as error:
        print(f"Task runs of runs that had ended may seem to go on: {error!r}", file=sys.stderr)  # noqa: T201  # its log


def _always(ending: Ending) -> Callable[[str], Ending]:
    return lambda _: ending


async def _complete(post: Post) -> None:
    """Write the states of ended task runs: a server on SQLite writes task runs before their states, and not as one."""
    for page in range(PAGES):
        latest = await _task_runs(post, {"limit": MOST, "offset": page * MOST})
        for each in latest:
            if each["state"] is None and each["state_type"] in _ENDED:
                known = Ending(type=each["state_type"], name=each["state_name"])
                await _set_state(post, _TASK_RUN_STATE, each["id"], known)
        if len(latest) < MOST:
            return


async def _task_runs(post: Post, chosen: Mapping[str, object]) -> Sequence[dict[str, Any]]:
    return await _filtered(post, "/task_runs/filter", {**chosen, "sort": "ID_DESC"})


async def _filtered(post: Post, path: ApiPath, chosen: Mapping[str, object]) -> Sequence[dict[str, Any]]:
    found = json.loads(await post(path, chosen))
    if not isinstance(found, list):
        msg = f"the API gave no list for {path}"
        raise TypeError(msg)
    return found


async def _set_state(post: Post, path: ApiPath, run: str, ending: Ending) -> None:
    state = {"type": ending.type, "name": ending.name, "message": ending.message}
    await post(path, {"state": state, "force": True}, id=run)
