"""Runs as the Prefect API and the manifests of this machine tell of them: which there are, and how each one is.

Everything goes through the API, so that it works from any machine; only what lies on a disk needs the machine that it
lies on.
"""

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from cwl_prefect.backends.job_template.provenance import without_secrets
from cwl_prefect.engine.records import manifest
from cwl_prefect.engine.records.manifest import RunManifest
from cwl_prefect.errors import InputError
from cwl_prefect.flows.driver_lock import is_driven
from cwl_prefect.flows.lifecycle.workdirs import Workdirs
from cwl_prefect.flows.prefect_names import MARK, without_mark
from cwl_prefect.model.names import begins_id
from cwl_prefect.model.values import CwlObject, is_text
from cwl_prefect.runs.known_run import KILLED, KnownRun, several
from cwl_prefect.runs.records import Ask, RunRecord, flow_names, results_told
from cwl_prefect.server.client import Post
from cwl_prefect.settings import Settings

PAGE = 200
AGES_AGO = timedelta(weeks=52_000)  # no run is so old, and calendars end

ENDED = frozenset(("COMPLETED", "FAILED", "CANCELLED", "CRASHED"))
"""Types of the states that a run ends in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which runs are meant.

    Attributes:
        name: Pattern of their names, with ``*`` and ``?``.
        tags: Tags that each of them has.
        newer_than: At most so old.
        older_than: At least so old.
        scheduled: Whether they wait for their time, or not; None: either.
    """

    name: str | None = None
    tags: tuple[str, ...] = ()
    newer_than: timedelta | None = None
    older_than: timedelta | None = None
    scheduled: bool | None = None

    def admits(self, name: str, tags: Iterable[str], began: datetime | None) -> bool:
        """Check whether a run is meant."""
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

    flow_run: RunRecord
    directory: Path  # where its workspaces are, or would be
    local: RunManifest | None  # None: they are not on this machine, or not kept
    state: str
    workflow: str | None = None  # None: nobody has asked for it

    @property
    def took(self) -> timedelta | None:
        """How long it has taken so far, or took; None where it has not begun, or nobody knows when it was killed."""
        run = self.flow_run
        if run.start_time is None or self.state == KILLED:
            return None
        return (run.end_time or datetime.now(UTC)) - run.start_time


async def lines(ask: Ask, settings: Settings, wanted: Filter, limit: int) -> list[Line]:
    """List runs of workflows, the latest first; subworkflows are no runs of their own."""
    found: list[Line] = []
    workdirs = Workdirs.of(settings)
    most = min(PAGE, limit) if wanted == Filter(scheduled=wanted.scheduled) else PAGE
    for offset in range(0, 1_000_000, PAGE):
        question = _question(_outermost(wanted), limit=most, offset=offset)
        page = await ask({**question, "sort": "EXPECTED_START_TIME_ASC"} if wanted.scheduled else question)
        found += [_line(one, workdirs) for one in page if wanted.admits(one.name, one.tags, _began(one))]
        if len(page) < PAGE or len(found) >= limit:
            break
    return found[:limit]


async def with_workflows(post: Post, found: Sequence[Line]) -> list[Line]:
    """Return runs of a list with the names of their workflows."""
    names = await flow_names(post, (line.flow_run.flow_id for line in found if line.flow_run.flow_id is not None))
    return [replace(line, workflow=_workflow(line, names)) for line in found]


def _workflow(line: Line, names: Mapping[UUID, str]) -> str | None:
    flow_id = line.flow_run.flow_id
    return None if flow_id is None else names.get(flow_id)


async def find(ask: Ask, run: str, settings: Settings) -> Line:
    """Find a run by its name, its flow run id, the beginning of the id, or the latest by the word ``last``.

    Raises:
        InputError: There is none, or more than one.
    """
    latest = await lines(ask, settings, Filter(scheduled=False), limit=1) if run == "last" else []
    if latest:
        return latest[0]
    named: Mapping[str, object] = {"name": {"any_": [run] if is_text(run) else []}, "tags": {"all_": [MARK]}}
    found = await _with_id(ask, run) or await ask(_question(named))
    found = found or [one for one in await ask(_question(_outermost(Filter()))) if begins_id(run, str(one.id))]
    if not found:
        raise InputError(f"Prefect knows no run {run}.", hint="`cwl-prefect runs ls` lists them.")
    workdirs = Workdirs.of(settings)
    if len(found) > 1:
        every = [_line(one, workdirs) for one in found]
        raise several(run, [(str(one.flow_run.id), one.state, _began(one.flow_run)) for one in every])
    return _line(found[0], workdirs)


async def complete_among(ask: Ask, run_ids: Sequence[str]) -> frozenset[str]:
    """Return which of some runs the API knows to be complete."""
    complete = {"state": {"type": {"any_": ["COMPLETED"]}}}
    found: list[RunRecord] = []
    for start in range(0, len(run_ids), PAGE):
        found += await ask(_question({"id": {"any_": list(run_ids[start : start + PAGE])}, **complete}))
    return frozenset(str(one.id) for one in found)


def has_ended(line: Line) -> bool:
    """Check whether Prefect knows how a run ended."""
    return line.flow_run.state is not None and line.flow_run.state.type in ENDED


def is_killed(line: Line) -> bool:
    """Check whether Prefect takes a run of this machine for running that nobody drives."""
    state = line.flow_run.state
    if state is None or state.type not in ("RUNNING", "CANCELLING"):
        return False
    return line.directory.is_dir() and not is_driven(line.directory)  # it is made before its manifest is written


def details(line: Line) -> Mapping[str, object]:
    """Describe a run: what Prefect knows, and what its manifest on this machine adds, with credentials hidden."""
    run, local = line.flow_run, line.local
    described: dict[str, object] = {
        "id": str(run.id),
        "name": run.name,
        "workflow": line.workflow,
        "state": line.state,
        "message": message_of(line),
        "tags": without_mark(run.tags),
        "began": None if run.start_time is None else run.start_time.isoformat(),
        "ended": None if run.end_time is None else run.end_time.isoformat(),
        "took_s": None if line.took is None else round(line.took.total_seconds(), 1),
        "drivers": run.run_count,
    }
    if local is None:
        return described
    known = KnownRun(directory=line.directory, manifest=local)
    return described | {
        "workflow": local.workflow,
        "host": local.host,
        "outdir": local.outdir,
        "settings": without_secrets(dict(local.settings)),
        "error": local.error,
        "workspaces": str(known.directory),
        "resumable": known.refusal is None,
    }


def message_of(line: Line) -> str | None:
    """Return what Prefect says of the state of a run, without the words that it puts before the text of an error."""
    state = line.flow_run.state
    return None if state is None or state.message is None else _RAISED.sub("", state.message)


_RAISED = re.compile(r"^Flow run encountered an exception: \w+: ")


async def outputs(post: Post, line: Line) -> CwlObject:
    """Return the output object of a run as the API was told it at its end.

    Raises:
        InputError: It has none, or nobody knows it any more.
    """
    run = line.flow_run
    told = await results_told(post, str(run.id))
    if told is not None and told.outputs is not None:
        return told.outputs
    if told is not None:
        raise InputError(
            f"the output object of {run.name} is too large to be told by the API; it is in {told.outputs_file} where "
            f"{told.who} ran it.",
            hint="a later run with the same outdir has replaced that file.",
        )
    if run.state is None or run.state.type != "COMPLETED":
        raise InputError(f"the run {run.name} has no outputs: it is {line.state}.")
    raise InputError(f"the outputs of {run.name} are not known: {_FORGOTTEN}", hint=_KEPT)


_FORGOTTEN = "this machine did not record it, and Prefect has forgotten, or was never sent, the event of its end."
_KEPT = "Prefect keeps events for 7 days unless PREFECT_SERVER_EVENTS_RETENTION_PERIOD says otherwise."


async def _with_id(ask: Ask, run: str) -> list[RunRecord]:
    try:
        run_id = UUID(run)
    except ValueError:
        return []
    return await ask(_question({"id": {"any_": [str(run_id)]}}))


def _question(conditions: Mapping[str, object], *, limit: int = PAGE, offset: int = 0) -> Mapping[str, object]:
    return {"flow_runs": conditions, "sort": "EXPECTED_START_TIME_DESC", "limit": limit, "offset": offset}


def _outermost(wanted: Filter) -> Mapping[str, object]:
    conditions: dict[str, object] = {
        "parent_task_run_id": {"is_null_": True},
        "tags": {"all_": [MARK, *without_mark(wanted.tags)]},
    }
    # Prefect knows no patterns; it finds what holds the longest part of one, and the pattern chooses among those.
    part = max(re.split(r"\[.*\]|[*?]", wanted.name or ""), key=len)
    if part:
        conditions["name"] = {"like_": part}
    ages = {"after_": wanted.newer_than, "before_": wanted.older_than}
    began = {key: (datetime.now(UTC) - min(age, AGES_AGO)).isoformat() for key, age in ages.items() if age is not None}
    if wanted.scheduled is not None:
        conditions["state"] = {"name": {"any_" if wanted.scheduled else "not_any_": ["Scheduled"]}}
    if began:
        conditions["start_time"] = began  # or when a run is to begin, where it has not
    return conditions


def _began(run: RunRecord) -> datetime | None:
    return run.start_time or run.expected_start_time


def _line(run: RunRecord, workdirs: Workdirs) -> Line:
    directory = workdirs.directory_of(str(run.id))
    line = Line(
        flow_run=run,
        directory=directory,
        local=manifest.read(directory),
        state="" if run.state is None else run.state.name or run.state.type.title(),
    )
    return replace(line, state=KILLED) if is_killed(line) else line
