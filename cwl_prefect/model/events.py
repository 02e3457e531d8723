"""What happens in a run, as told to progress displays and users' own observers."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class StepEventKind(StrEnum):
    """What happened to a step or to one of its calls."""

    PLANNED = "planned"  # the number of calls is known: `count`
    STARTED = "started"
    SUCCEEDED = "succeeded"
    CACHED = "cached"  # an identical call ran before; it was not started
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RETRYING = "retrying"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEvent:
    """One thing that happened; `step` is a path as ``prepare.align``, `call` adds the index: ``prepare.align[3]``."""

    kind: StepEventKind
    step: str
    call: str | None = None
    count: int | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The flow run exists."""

    flow_run_id: str
    name: str
    url: str | None


RunEvent: TypeAlias = StepEvent | RunStarted
Observer: TypeAlias = Callable[[RunEvent], None]
"""Called on the event loop for each event in order; it must not block."""
