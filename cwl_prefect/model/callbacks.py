"""What users want to be called back for, and what they are told."""

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeAlias

from pydantic import JsonValue

from cwl_prefect.model.names import without_indices


class Moment(StrEnum):
    """When a callback is called.

    Examples:
        >>> from cwl_prefect import Moment
        >>> sorted(Moment)[:3]
        [<Moment.ALWAYS: 'always'>, <Moment.CANCEL: 'cancel'>, <Moment.FAILURE: 'failure'>]
    """

    SUCCESS = "success"
    FAILURE = "failure"
    SKIP = "skip"
    RETRY = "retry"
    CANCEL = "cancel"
    ALWAYS = "always"  # at every one of them


class Level(StrEnum):
    """What a callback is about.

    Examples:
        >>> from cwl_prefect import Level
        >>> [str(level) for level in Level]
        ['workflow', 'step', 'call']
    """

    WORKFLOW = "workflow"
    STEP = "step"  # a step as a whole, however often it is called
    CALL = "call"  # each call of a step, as `align[3]`


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """What a callback is told.

    Examples:
        >>> from cwl_prefect import Happening, Level, Moment
        >>> happening = Happening(
        ...     moment=Moment.RETRY, level=Level.CALL, workflow="map", run_id="7", step="align", call="align[3]"
        ... )
        >>> happening.summary
        'align[3] of map is tried again'
    """

    moment: Moment
    level: Level
    workflow: str
    run_id: str
    run_name: str = ""
    url: str | None = None
    step: str | None = None  # path of the step, as `prepare.align`
    call: str | None = None  # with its place in a scatter, as `prepare.align[3]`
    message: str | None = None  # why it failed or is tried again
    outputs: Mapping[str, JsonValue] | None = None  # of a workflow that ended
    when: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def name(self) -> str:
        """Name of what it is about."""
        return self.call or self.step or self.workflow

    @property
    def summary(self) -> str:
        """One line for people."""
        words = {
            Moment.SUCCESS: "succeeded",
            Moment.FAILURE: "failed",
            Moment.SKIP: "was skipped",
            Moment.RETRY: "is tried again",
            Moment.CANCEL: "was cancelled",
            Moment.ALWAYS: "ended",
        }
        where = "" if self.level is Level.WORKFLOW else f" of {self.workflow}"
        return f"{self.name}{where} {words[self.moment]}"

    def as_object(self) -> dict[str, JsonValue]:
        """Return what commands and webhooks receive as JSON."""
        return {
            "moment": self.moment.value,
            "level": self.level.value,
            "workflow": self.workflow,
            "run_id": self.run_id,
            "run_name": self.run_name,
            "url": self.url,
            "step": self.step,
            "call": self.call,
            "message": self.message,
            "outputs": None if self.outputs is None else dict(self.outputs),
            "when": self.when.isoformat(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program of this machine; it gets the happening as JSON on its standard input, and no shell reads its words."""

    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """An address that the happening is posted to as JSON."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A notification block of Prefect, as ``slack-webhook/team``."""

    block: str


Action: TypeAlias = Callable[[Happening], object] | Command | Webhook | Notification
"""What is done; a function may be asynchronous, and one that is not runs in a thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """An action and when it is wanted.

    Attributes:
        action: What is done.
        on: At which moments.
        level: What it is about.
        name: Names of steps or calls that it is wanted for, with ``*`` and ``?``; a name without an index stands for
            all calls of its step.
        timeout_s: Seconds that it may take.

    Examples:
        >>> from cwl_prefect import Callback, Level, Moment
        >>> told = []
        >>> callback = Callback(action=told.append, on=frozenset({Moment.FAILURE}), level=Level.CALL, name="align*")
    """

    action: Action
    on: frozenset[Moment] = frozenset({Moment.ALWAYS})
    level: Level = Level.WORKFLOW
    name: str = "*"
    timeout_s: float = 30.0

    def wants(self, happening: Happening) -> bool:
        """Check whether this is to be called for what happened."""
        if happening.level is not self.level or not {happening.moment, Moment.ALWAYS} & self.on:
            return False
        return self.level is Level.WORKFLOW or matches(self.name, happening.name)


def matches(pattern: str, name: str) -> bool:
    """Check whether a name of a step or call fits a pattern of ``*`` and ``?``, with or without its indexes."""
    if pattern == "*":
        return True
    literal = pattern.replace("[", "[[]")
    return fnmatch.fnmatchcase(name, literal) or fnmatch.fnmatchcase(without_indices(name), literal)
