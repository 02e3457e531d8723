"""Runs as the Prefect API tells of them, and how it is asked about them; nothing here needs Prefect."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, TypeAdapter

FILTER_PATH: Final = "/flow_runs/filter"
"""Where the API answers which runs there are."""


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
    deployment_id: UUID | None = None
    expected_start_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    run_count: int = 0


Question = Mapping[str, object]
"""A filter, an order, a limit and an offset, as the API takes them."""

Ask = Callable[[Question], Awaitable[list[RunRecord]]]
"""Gives the runs that a question is about."""


def read_records(answer: bytes) -> list[RunRecord]:
    """Read what the API answered.

    Raises:
        ValidationError: These are no runs.
    """
    return TypeAdapter(list[RunRecord]).validate_json(answer)
