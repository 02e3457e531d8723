"""Runs as the Prefect API and the manifests of this machine tell of them, and what can be done to them.

Everything goes through the API, so that it works from any machine; only what lies on a disk needs the machine that it
lies on.
"""

import asyncio
import contextlib
import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from uuid import UUID

from prefect import State
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, LogFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort, LogSort
from prefect.exceptions import ObjectNotFound
from prefect.states import Scheduled

from cwl_prefect.engine import manifest
from cwl_prefect.engine.audit import Act, actor
from cwl_prefect.engine.manifest import RunManifest
from cwl_prefect.engine.workspace import remove_run, run_directory
from cwl_prefect.errors import InputError
from cwl_prefect.flows.audit import record
from cwl_prefect.flows.claim import is_driven
from cwl_prefect.flows.reaping import reap_run
from cwl_prefect.flows.results import remove_undelivered
from cwl_prefect.flows.resuming import SHORTEST_ID, KnownRun
from cwl_prefect.flows.server import configured_api
from cwl_prefect.flows.stopping import INTERRUPTED, INTERRUPTING
from cwl_prefect.flows.tagging import MARK, without_mark
from cwl_prefect.settings import Settings

PAGE = 200
ANSWER_S = 20.0  # a driver that has not answered by then is gone
KILLED = "Killed"
"""What is said of a run that Prefect takes for running, and that nobody drives."""

_WAITS = "a worker is to begin it; where that was killed, `cwl-prefect runs interrupt` it first."
_MAY_RUN = (
    "where it was killed, resume it with the CWL_PREFECT_HOME that holds its workspaces; "
    "where the machine that ran it is gone, `cwl-prefect runs interrupt --force` it first."
)
_ENDED = frozenset((StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED, StateType.CRASHED))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which runs are meant.

    Attributes:
        name: Pattern of their names, with ``*`` and ``?``.
        tags: Tags that each of them has.
        newer_than: At most so old.
        older_than: At least so old.
    """

    name: str | None = None
    tags: tuple[str, ...] = ()
    newer_than: timedelta | None = None
    older_than: timedelta | None = None

    def admits(self, name: str, tags: Iterable[str], began: datetime | None) -> bool:
        """Tell whether a run is meant."""
        age = datetime.now(UTC) - (began or datetime.now(UTC))
        return (
            (self.name is None or fnmatch.fnmatchcase(name, self.name))
            and set(self.tags) <= set(tags)
            and (self.newer_than is None or age <= self.newer_than)
            and (self.older_than is None or age >= self.older_than)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A run in a list."""

    flow_run: FlowRun
    local: RunManifest | None  # None: its workspaces are not on this machine, or not kept
    state: str


async def lines(client: PrefectClient, settings: Settings, wanted: Filter, limit: int) -> list[Line]:
    """List runs of workflows, the latest first; subworkflows are no runs of their own."""
    found: list[Line] = []
    for offset in range(0, 1_000_000, PAGE):
        page = await client.read_flow_runs(
            flow_run_filter=_outermost(wanted),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=min(PAGE, limit) if wanted == Filter() else PAGE,
            offset=offset,
        )
        found += [_line(one, settings) for one in page if wanted.admits(one.name, one.tags, _began(one))]
        if len(page) < PAGE or len(found) >= limit:
            break
    return found[:limit]


async def find(client: PrefectClient, run: str, settings: Settings) -> Line:
    """Find a run by its name, its flow run id, or the beginning of the id.

    Raises:
        InputError: There is none, or more than one.
    """
    with contextlib.suppress(ValueError, ObjectNotFound):
        return _line(await client.read_flow_run(UUID(run)), settings)
    named = FlowRunFilter.model_validate({"name": {"any_": [run]}, "tags": {"all_": [MARK]}})
    found = await client.read_flow_runs(flow_run_filter=named, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=PAGE)
    if not found and len(run) >= SHORTEST_ID:
        every = await client.read_flow_runs(
            flow_run_filter=_outermost(Filter()), sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=PAGE
        )
        found = [one for one in every if str(one.id).startswith(run)]
    if not found:
        raise InputError(f"Prefect knows no run {run}.", hint="`cwl-prefect runs ls` lists them.")
    if len(found) > 1:
        known = ", ".join(sorted(str(one.id) for one in found))
        raise InputError(f"{run} may be any of the runs {known}.", hint="give the whole id.")
    return _line(found[0], settings)


async def stop(client: PrefectClient, line: Line, settings: Settings, *, for_now: bool, force: bool = False) -> str:
    """End a run, and give the name of the state that it came to.

    What it started is killed by its driver; where that is gone, by this process as far as it can.

    Args:
        client: The API.
        line: The run.
        settings: Say where workspaces are.
        for_now: Whether it is to be resumed later.
        force: Whether a driver that does not answer, and may be on another machine, is taken for gone.

    Raises:
        InputError: It has ended already, its driver is on this machine and does not answer, or may be on another one.
    """
    run_id = line.flow_run.id
    if has_ended(line):
        raise InputError(f"the run {line.flow_run.name} has ended: it is {line.state}.")
    record(settings.runs, Act.INTERRUPTED if for_now else Act.CANCELLED, str(run_id))
    message = f"by {actor()}"
    name = INTERRUPTING if for_now else "Cancelling"
    await client.set_flow_run_state(run_id, State(type=StateType.CANCELLING, name=name, message=message), force=True)
    if not _is_killed(line, settings) and not _was_never_begun(line):
        deadline = monotonic() + ANSWER_S
        while monotonic() < deadline:
            await asyncio.sleep(0.3)
            state = (await client.read_flow_run(run_id)).state
            if state is not None and state.type in _ENDED:
                return state.name or "Cancelled"
        elsewhere = line.local is None and configured_api() is not None  # the local server's drivers are all here
        here = is_driven(run_directory(settings.runs, str(run_id)))
        if here or (elsewhere and not force):
            raise InputError(
                f"the driver of {line.flow_run.name} did not end it in {ANSWER_S:g} s; it is {name} now.",
                hint="look at its process." if here else "look at its worker; where its machine is gone, add --force.",
            )
    await reap_run(str(run_id))
    ended: State[object] = State(
        type=StateType.CANCELLED, name=INTERRUPTED if for_now else "Cancelled", message=message
    )
    await client.set_flow_run_state(run_id, ended, force=True)
    return str(ended.name)


async def reschedule(client: PrefectClient, line: Line) -> None:
    """Let a worker go on with a run of a deployment, wherever it is.

    Raises:
        InputError: It has no deployment, is running, or is complete.
    """
    run = line.flow_run
    ended = has_ended(line) or line.state == KILLED
    if run.state is not None and (run.state.type is StateType.COMPLETED or not ended):
        hint = None if ended else _WAITS if _was_never_begun(line) else _MAY_RUN
        raise InputError(f"the run {run.name} cannot be resumed: it is {line.state}.", hint=hint)
    if run.deployment_id is None:
        raise InputError(
            f"the run {run.name} has no deployment, and its workspaces are not on this machine.",
            hint="resume it on the machine that ran it, with the same CWL_PREFECT_HOME and CWL_PREFECT_WORKDIR; "
            "workspaces of runs that succeeded are not kept.",
        )
    await client.set_flow_run_state(run.id, Scheduled(message=f"Resumed by {actor()}"), force=True)


def _was_never_begun(line: Line) -> bool:
    """Tell whether a run of a deployment has no driver yet: it waits for a worker, which may have been killed."""
    run = line.flow_run
    waiting = run.state is not None and run.state.type in (StateType.SCHEDULED, StateType.PENDING)
    return waiting and run.deployment_id is not None and line.local is None


def has_ended(line: Line) -> bool:
    """Tell whether Prefect knows how a run ended."""
    return line.flow_run.state is not None and line.flow_run.state.type in _ENDED


def delete_data(run_id: str, settings: Settings) -> bool:
    """Remove the workspaces of a run from this machine, and tell whether there were any.

    Results that were published and objects of the call cache are no part of them.

    Raises:
        InputError: It is running.
    """
    directory = run_directory(settings.runs, run_id)
    if not directory.is_dir():
        return False
    if is_driven(directory):
        raise InputError(f"the run {run_id} is running.", hint="cancel it first.")
    found = manifest.read(directory)
    if found is not None:
        remove_undelivered(found, settings)
    remove_run(settings.runs, run_id)
    record(settings.runs, Act.DELETED, run_id)
    return True


async def forget(client: PrefectClient, line: Line, settings: Settings) -> None:
    """Remove a run that has ended: its workspaces here, and its record in Prefect.

    Raises:
        InputError: It has not ended.
    """
    if not has_ended(line) and not _is_killed(line, settings):
        raise InputError(f"the run {line.flow_run.name} has not ended.", hint="cancel it first.")
    await reap_run(str(line.flow_run.id))
    delete_data(str(line.flow_run.id), settings)
    await client.delete_flow_run(line.flow_run.id)


async def log_lines(client: PrefectClient, line: Line) -> list[str]:
    """Give what a run and its calls logged, oldest first."""
    wanted = LogFilter.model_validate({"flow_run_id": {"any_": [line.flow_run.id]}})
    found: list[str] = []
    for offset in range(0, 1_000_000, PAGE):
        page = await client.read_logs(log_filter=wanted, sort=LogSort.TIMESTAMP_ASC, limit=PAGE, offset=offset)
        found += [f"{one.timestamp:%Y-%m-%d %H:%M:%S} {one.message}" for one in page]
        if len(page) < PAGE:
            break
    return found


def details(line: Line, settings: Settings) -> Mapping[str, object]:
    """Describe a run: what Prefect knows, and what its manifest on this machine adds."""
    run, local = line.flow_run, line.local
    described: dict[str, object] = {
        "id": str(run.id),
        "name": run.name,
        "state": line.state,
        "message": None if run.state is None else run.state.message,
        "tags": without_mark(run.tags),
        "began": None if run.start_time is None else run.start_time.isoformat(),
        "ended": None if run.end_time is None else run.end_time.isoformat(),
        "drivers": run.run_count,
    }
    if local is None:
        return described
    known = KnownRun(directory=run_directory(settings.runs, local.run_id), manifest=local)
    return described | {
        "workflow": local.workflow,
        "host": local.host,
        "outdir": local.outdir,
        "settings": dict(local.settings),
        "error": local.error,
        "workspaces": str(known.directory),
        "resumable": known.refusal is None,
    }


def _outermost(wanted: Filter) -> FlowRunFilter:
    conditions: dict[str, object] = {
        "parent_task_run_id": {"is_null_": True},
        "tags": {"all_": [MARK, *without_mark(wanted.tags)]},
    }
    # Prefect knows no patterns; it finds what holds the longest part of one, and the pattern chooses among those.
    part = max(re.split(r"\[.*\]|[*?]", wanted.name or ""), key=len)
    if part:
        conditions["name"] = {"like_": part}
    return FlowRunFilter.model_validate(conditions)


def _began(run: FlowRun) -> datetime | None:
    return run.start_time or run.expected_start_time


def _line(run: FlowRun, settings: Settings) -> Line:
    line = Line(
        flow_run=run,
        local=manifest.read(run_directory(settings.runs, str(run.id))),
        state="" if run.state is None else run.state.name or run.state.type.value.title(),
    )
    if not _is_killed(line, settings):
        return line
    return Line(flow_run=run, local=line.local, state=KILLED)


def _is_killed(line: Line, settings: Settings) -> bool:
    """Tell whether Prefect takes a run of this machine for running that nobody drives."""
    state = line.flow_run.state
    if state is None or state.type not in (StateType.RUNNING, StateType.CANCELLING):
        return False
    directory = run_directory(settings.runs, str(line.flow_run.id))  # made before its manifest is written
    return directory.is_dir() and not is_driven(directory)
