"""Runs as the Prefect API tells of them, and how it is asked about them; nothing here needs Prefect."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from cwl_prefect.engine.records.audit import EVENTS, Act
from cwl_prefect.server.client import LocalApi, Post
from cwl_prefect.server.keeping import kept
from cwl_prefect.server.local_server import lease
from cwl_prefect.settings import Settings

FILTER_PATH: Final = "/flow_runs/filter"
"""Where the API answers which runs there are."""

EVENTS_PATH: Final = "/events/filter"
"""Where the API answers which events there were."""


class StateRecord(BaseModel):
    """The state of a run."""

    model_config = ConfigDict(frozen=True)

    type: str
    name: str | None = None
    message: str | None = None


class RunRecord(BaseModel):
    """What the API knows of a run, as far as it is of use here."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    name: str
    tags: tuple[str, ...] = ()
    state: StateRecord | None = None
    flow_id: UUID | None = None
    deployment_id: UUID | None = None
    expected_start_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    run_count: int = 0
    parameters: Mapping[str, JsonValue] = Field(default_factory=dict)


FLOWS_PATH: Final = "/flows/filter"
"""Where the API answers which flows there are."""


class ResultsRecord(BaseModel):
    """What the event at the end of a run tells of its results.

    Attributes:
        outdir: Directory that they are in.
        outputs: The output object; None: it is too large for an event.
        outputs_file: File that holds it.
        who: Who ran it, and on which machine.
    """

    model_config = ConfigDict(frozen=True)

    outdir: str
    outputs: dict[str, JsonValue] | None = None
    outputs_file: str
    who: str = ""


class StepRecord(BaseModel):
    """How far a step is, as a row of the table tells that a run keeps up to date in the Prefect UI."""

    model_config = ConfigDict(frozen=True)

    step: str
    waiting: int = 0
    running: int = 0
    succeeded: int = 0
    cached: int = 0
    failed: int = 0
    skipped: int = 0
    cancelled: int = 0


ARTIFACTS_PATH: Final = "/artifacts/filter"
"""Where the API answers which artifacts there are."""

Question = Mapping[str, object]
"""A filter, an order, a limit and an offset, as the API takes them."""

_WITH_RESULTS = (f"{EVENTS}.{Act.COMPLETED}", f"{EVENTS}.{Act.PARTIAL}")

Ask = Callable[[Question], Awaitable[list[RunRecord]]]
"""Gives the runs that a question is about."""


def asking(post: Post) -> Ask:
    """Return what asks an API about runs."""

    async def ask(question: Question) -> list[RunRecord]:
        """Ask for runs."""
        return TypeAdapter(list[RunRecord]).validate_json(await post(FILTER_PATH, question))

    return ask


class FlowRecord(BaseModel):
    """A flow, which is named after its workflow."""

    id: UUID
    name: str


async def flow_names(post: Post, flow_ids: Iterable[UUID]) -> Mapping[UUID, str]:
    """Return the names of flows."""
    wanted = sorted({str(flow_id) for flow_id in flow_ids})
    if not wanted:
        return {}
    answer = await post(FLOWS_PATH, {"flows": {"id": {"any_": wanted}}})
    return {found.id: found.name for found in TypeAdapter(list[FlowRecord]).validate_json(answer)}


async def results_told(post: Post, run_id: str) -> ResultsRecord | None:
    """Return what the API was told last of a run's results; None where it does not know, or not any more."""
    try:
        return ResultsRecord.model_validate(await _told(post, run_id, _WITH_RESULTS))
    except ValidationError:
        return None


async def failure_told(post: Post, run_id: str) -> str | None:
    """Return the class of the error that ended a run, as the API was told; None where it does not know."""
    match await _told(post, run_id, [f"{EVENTS}.{Act.FAILED}"]):
        case {"details": {"error": str(name)}}:
            return name
        case _:
            return None


async def steps_told(post: Post, run_id: str) -> list[StepRecord]:
    """Return how far the steps of a run are, as its driver has told the API last."""
    about = {"flow_run_id": {"any_": [run_id]}, "type": {"any_": ["table"]}, "key": {"like_": "-steps"}}
    answer = json.loads(await post(ARTIFACTS_PATH, {"artifacts": about, "sort": "UPDATED_DESC", "limit": 1}))
    try:
        return TypeAdapter(list[StepRecord]).validate_json(answer[0]["data"])
    except (LookupError, TypeError, ValidationError):
        return []


async def _told(post: Post, run_id: str, names: Sequence[str]) -> object:
    """Return what the last event of some names tells of a run; None where there is none."""
    about = {"event": {"name": list(names)}, "resource": {"id": [f"prefect.flow-run.{run_id}"]}}
    answer = json.loads(await post(EVENTS_PATH, {"filter": {**about, "order": "DESC"}, "limit": 1}))
    try:
        found: object = answer["events"][0]["payload"]
    except (LookupError, TypeError):
        return None
    return found


@asynccontextmanager
async def posting_to_local_server(settings: Settings) -> AsyncIterator[Post]:
    """Let the local server, started where it is not running, be asked for as long as this is open.

    Raises:
        ServerError: It does not start or answer.
    """
    async with lease(settings) as endpoint, kept(endpoint, settings):
        yield LocalApi(url=endpoint.url, auth=endpoint.auth).post
