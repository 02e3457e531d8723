"""Whether a failed call is worth another try: each cause of failure has its own number of tries."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cwl_prefect.errors import (
    BackendError,
    CwlPrefectError,
    LostStepError,
    MemoryStepError,
    StepError,
    TemporaryStepError,
)
from cwl_prefect.model.job import PASSING_REASONS, BoundCall, JobOutcome, Reason
from cwl_prefect.settings import Settings


class Cause(StrEnum):
    """Why a failure may pass."""

    TOOL = "temporary failure"  # one of the tool's own temporaryFailCodes
    MEMORY = "out of memory"
    INFRASTRUCTURE = "infrastructure"  # evicted, preempted, machine or engine gone: no fault of the tool


def cause_of(error: CwlPrefectError) -> Cause | None:
    """Return why a failure may pass, or None where it will not."""
    match error:
        case TemporaryStepError():
            return Cause.TOOL
        case MemoryStepError():
            return Cause.MEMORY
        case LostStepError():
            return Cause.INFRASTRUCTURE
        case BackendError():
            return Cause.INFRASTRUCTURE if error.passing else None
        case _:
            return None


def failure_of(outcome: JobOutcome, call: BoundCall) -> type[StepError]:
    """Return the kind of error that the end of a call is, by why it may pass."""
    if outcome.reason is Reason.OUT_OF_MEMORY:
        return MemoryStepError
    if outcome.reason in PASSING_REASONS:
        return LostStepError
    code = outcome.exit_code
    temporary = code in call.temporary_fail_codes and code not in call.success_codes
    return TemporaryStepError if temporary else StepError


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How many further tries each cause gets, and how the memory request grows."""

    most: Mapping[Cause, int]
    memory_factor: float = 2.0
    memory_most_mib: float = math.inf

    @classmethod
    def of(cls, settings: Settings, ram_mib: float) -> "RetryPolicy":
        """Read the settings.

        Args:
            settings: Say how often and how much.
            ram_mib: Memory that the run may use at all.
        """
        most_mib = math.floor(ram_mib)  # requests are whole mebibytes, and one more would be too much
        return cls(
            most={
                Cause.TOOL: settings.retries,
                Cause.MEMORY: settings.memory_retries,
                Cause.INFRASTRUCTURE: settings.infrastructure_retries,
            },
            memory_factor=settings.memory_factor,
            memory_most_mib=min(most_mib, settings.memory_most_mib or most_mib),
        )

    def grown(self, ram_mib: float) -> float | None:
        """Return the request after one of so much was not enough, or None where no more may be asked for."""
        more = min(math.ceil(ram_mib * self.memory_factor), self.memory_most_mib)
        return more if more > ram_mib else None


class Retries:
    """Counts the failures of a run's calls by cause; keeps something only of calls that failed."""

    def __init__(self, policy: RetryPolicy) -> None:
        self.policy = policy
        self._failures: dict[str, Counter[Cause]] = {}
        self._ram_mib: dict[str, float] = {}

    def another(self, call: str, error: CwlPrefectError, *, ram_mib: float | None) -> bool:
        """Count a failure, and tell whether another try is due.

        Args:
            call: Name of the call.
            error: What happened.
            ram_mib: Memory that the failed try had; None where it never got so far.
        """
        cause = cause_of(error)
        if cause is None:
            return False
        failures = self._failures.setdefault(call, Counter())
        failures[cause] += 1
        if failures[cause] > self.policy.most[cause]:
            return False
        return cause is not Cause.MEMORY or self._grow(call, ram_mib)

    def tried(self, call: str) -> bool:
        """Check whether a call has failed before."""
        return call in self._failures

    def failures(self, call: str) -> int:
        """Return how many tries of a call failed."""
        return sum(self._failures.get(call, Counter()).values())

    def ram_mib(self, call: str) -> float | None:
        """Return the memory that a call's next try must have at least, where earlier tries had too little."""
        return self._ram_mib.get(call)

    def _grow(self, call: str, ram_mib: float | None) -> bool:
        more = None if ram_mib is None else self.policy.grown(ram_mib)
        if more is not None:
            self._ram_mib[call] = more
        return more is not None
