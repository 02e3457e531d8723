"""What runs logged, as the Prefect API has it: with what was nested in them, or of one step alone."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import LogFilter, TaskRunFilter
from prefect.client.schemas.objects import Log
from prefect.client.schemas.sorting import LogSort

from cwl_prefect.runs.listing import ENDED, PAGE
from cwl_prefect.server.client import posting
from cwl_prefect.server.closing import nested_flow_runs

PAUSE_S = 2.0  # between two looks at what is logged; Prefect sends lines as often

_LATE = timedelta(seconds=30)  # lines come so much later than others that were written after them
_PLACES = re.compile(r"\[[\d,-]*\]")  # of a call, or of a group of calls as in `align[0-99]`
_OF_CALL = re.compile(r"(?P<call>[^\s:]+): (?P<message>.*)", re.DOTALL)

_FAILED = re.compile(r"(?:\S+:\d+: )?(?P<call>[^\s:]+) failed: .*", re.DOTALL)  # a call of a group, told by the run


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which lines are meant.

    Attributes:
        step: Of a step with all that is in it, or of one call as ``align[3]``; None: of the whole run.
        level: Least level.
        since: Not before this moment; None: from the beginning.
    """

    step: str | None = None
    level: int = logging.NOTSET
    since: datetime | None = None

    def admits(self, name: str) -> bool:
        """Check whether lines of a step or call are meant; the name is empty for what the run itself logs."""
        path = _PLACES.sub("", name)
        return self.step is None or self.step in (name, path) or path.startswith(f"{self.step}.")


async def lines(client: PrefectClient, run_id: UUID, wanted: Wanted, *, follow: bool) -> AsyncIterator[str]:
    """Yield what a run and its calls logged, oldest first; and, to follow it, what they log until it has ended."""
    seen: set[UUID] = set()
    names: dict[UUID, str] = {}
    since, ended = wanted.since, not follow
    while True:
        found = await _read(client, await _nested(client, run_id, names), wanted, since)
        new = [one for one in found if one.id not in seen]
        await _name_calls(client, new, names)
        for one in new:
            seen.add(one.id)
            name, message = _told_by(one, names)
            if wanted.admits(name):
                yield _line(one, name, message)
        if ended:
            return
        since = max((one.timestamp for one in found), default=datetime.now(UTC)) - _LATE
        run = await client.read_flow_run(run_id)
        ended = run.state is not None and run.state.type.value in ENDED
        await asyncio.sleep(PAUSE_S)  # also for what the end of the run logged


async def _nested(client: PrefectClient, run_id: UUID, names: dict[UUID, str]) -> list[UUID]:
    """Return a run and the flow runs that are nested in it, and note their names."""
    nested = await nested_flow_runs(posting(client), str(run_id), datetime.now(UTC))
    found = {UUID(each["id"]): str(each["name"]) for each in nested}
    names.update(found)
    return [run_id, *found]


async def _read(client: PrefectClient, flow_runs: list[UUID], wanted: Wanted, since: datetime | None) -> list[Log]:
    chosen = {
        "flow_run_id": {"any_": flow_runs},
        "level": {"ge_": wanted.level},
        "timestamp": None if since is None else {"after_": since},
    }
    found: list[Log] = []
    for offset in range(0, 1_000_000, PAGE):
        page = await client.read_logs(LogFilter.model_validate(chosen), PAGE, offset, LogSort.TIMESTAMP_ASC)
        found += page
        if len(page) < PAGE:
            break
    return found


async def _name_calls(client: PrefectClient, new: Iterable[Log], names: dict[UUID, str]) -> None:
    wanted = list({one.task_run_id for one in new if one.task_run_id is not None} - set(names))
    for start in range(0, len(wanted), PAGE):
        some = TaskRunFilter.model_validate({"id": {"any_": wanted[start : start + PAGE]}})
        names |= {each.id: each.name for each in await client.read_task_runs(task_run_filter=some, limit=PAGE)}


def _told_by(one: Log, names: dict[UUID, str]) -> tuple[str, str]:
    """Return what logged a line, and the line without the name of a call in front, which lines of groups have."""
    logged_by = one.task_run_id or one.flow_run_id
    name = "" if logged_by is None else names.get(logged_by, "")
    found = _OF_CALL.fullmatch(one.message)
    if found is not None and name and _PLACES.sub("", found["call"]) == _PLACES.sub("", name):
        return found["call"], found["message"]
    failed = None if one.task_run_id is not None else _FAILED.fullmatch(one.message)
    return (name if failed is None else failed["call"]), one.message


def _line(one: Log, name: str, message: str) -> str:
    level = f"{logging.getLevelName(one.level)} " if one.level >= logging.WARNING else ""
    return f"{one.timestamp:%Y-%m-%d %H:%M:%S} {level}{f'{name}: ' if name else ''}{message}"
