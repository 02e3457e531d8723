"""Close the task runs that seem to go on because a server was killed before it wrote down that they had ended.

A driver that goes on tells by itself how its task runs ended (see :mod:`cwl_prefect.flows.endings`), and a run that is
resumed closes those of its killed driver; this is for runs that had ended just before.
"""

import asyncio
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

HEARD_S = 5.0  # drivers that were about to end are heard first
LIMIT_S = 60.0
MOST = 200  # Prefect gives no more at once
PAGES = 5  # what the server writes down at once is among the latest
_OPEN = ("PENDING", "RUNNING", "SCHEDULED")
_ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


async def recovered(api: str, *, transport: "httpx.AsyncBaseTransport | None" = None) -> None:
    """Close what was open in runs that had ended before now; a failure is told to the server's log.

    Args:
        api: The address of the server's API, which need not answer yet.
        transport: Carries requests; the network where none is given.
    """
    import httpx

    ended_before = datetime.now(UTC)
    await asyncio.sleep(HEARD_S)
    try:
        async with (
            asyncio.timeout(LIMIT_S),
            httpx.AsyncClient(base_url=api, timeout=LIMIT_S, transport=transport) as client,
        ):
            await _close(client, ended_before)
            await _complete(client)
    except (httpx.HTTPError, ValueError, TypeError, KeyError, TimeoutError) as error:
        print(f"Task runs of runs that had ended may seem to go on: {error!r}", file=sys.stderr)  # noqa: T201  # its log


async def _close(client: "httpx.AsyncClient", ended_before: datetime) -> None:
    runs = {"state": {"type": {"any_": _ENDED}}, "end_time": {"before_": ended_before.isoformat()}}
    chosen = {"flow_runs": runs, "task_runs": {"state": {"type": {"any_": _OPEN}}}, "limit": MOST, "sort": "ID_DESC"}
    closed: set[str] = set()
    while left := [each for each in await _found(client, "task_runs", chosen) if each["id"] not in closed]:
        ids = sorted({each["flow_run_id"] for each in left})
        flow_runs = await _found(client, "flow_runs", {"flow_runs": {"id": {"any_": ids}}, "limit": MOST})
        completed = {each["id"] for each in flow_runs if each["state_type"] == "COMPLETED"}
        for each in left:
            await _set_state(client, each["id"], _ending(completed=each["flow_run_id"] in completed))
            closed.add(each["id"])


async def _complete(client: "httpx.AsyncClient") -> None:
    """Give ended task runs their states: a server on SQLite writes task runs before their states, and not as one."""
    for page in range(PAGES):
        latest = await _found(client, "task_runs", {"limit": MOST, "offset": page * MOST, "sort": "ID_DESC"})
        for each in latest:
            if each["state"] is None and each["state_type"] in _ENDED:
                await _set_state(client, each["id"], {"type": each["state_type"], "name": each["state_name"]})
        if len(latest) < MOST:
            return


async def _set_state(client: "httpx.AsyncClient", task_run: str, state: dict[str, str]) -> None:
    answer = await client.post(f"task_runs/{task_run}/set_state", json={"state": state, "force": True})
    answer.raise_for_status()


async def _found(client: "httpx.AsyncClient", kind: str, chosen: dict[str, object]) -> list[dict[str, Any]]:
    answer = await client.post(f"{kind}/filter", json=chosen)
    answer.raise_for_status()
    found = answer.json()
    if not isinstance(found, list):
        msg = f"the API gave no list of {kind}"
        raise TypeError(msg)
    return found


def _ending(*, completed: bool) -> dict[str, str]:
    """Say how a task run ended: a run is only complete when all its task runs are."""
    if completed:
        return {"type": "COMPLETED", "name": "Completed", "message": "Told by the end of its run"}
    return {"type": "CRASHED", "name": "Crashed", "message": "How it ended is not known: the local server was killed"}
