"""What the steps of a run should ask for, by what they used, and what was asked for in vain."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from cwl_prefect.model.names import without_indices
from cwl_prefect.reports.record import CallTry, Record, largest, total

_SHORTEST_S = 1.0  # what ran for less tells nothing of its cores
_STEP_MIB = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class StepAdvice:
    """A step with what its tries asked for and used at most, and what it should ask for; None: it cannot be known.

    Attributes:
        step: Its path without indices.
        cores: Most that was asked for.
        used_cores: Most that a try used, on average over its time.
        advised_cores: What it should ask for.
        ram_mib: Most that was asked for.
        used_mib: The highest peak.
        advised_mib: What it should ask for.
        idle_core_s: Cores that were asked for and not used, times seconds, of all tries that were measured.
        idle_mib_s: The same of memory, beside each try's peak.
    """

    step: str
    cores: float | None
    used_cores: float | None
    advised_cores: float | None
    ram_mib: float | None
    used_mib: float | None
    advised_mib: int | None
    idle_core_s: float | None
    idle_mib_s: float | None

    @property
    def resources(self) -> dict[str, JsonValue]:
        """What it should ask for and does not, as a step override has it."""
        found: dict[str, JsonValue] = {}
        if self.advised_cores is not None and self.advised_cores != self.cores:
            found["cores"] = self.advised_cores
        if self.advised_mib is not None and self.advised_mib != self.ram_mib:
            found["ram"] = f"{self.advised_mib}M"
        return found


def advise(record: Record, margin: float) -> list[StepAdvice]:
    """Return what each step of a run should ask for, in the order in which they ended.

    Args:
        record: The run.
        margin: The part of what was used that is added to it, as 0.25.
    """
    steps: dict[str, list[CallTry]] = {}
    for found in record.tries:
        if found.cores is not None:
            steps.setdefault(without_indices(found.step), []).append(found)
    return [_advice(step, tries, margin) for step, tries in steps.items()]


def overrides(advice: Iterable[StepAdvice]) -> dict[str, JsonValue]:
    """Return step overrides by which steps ask for what fits; steps that do so already are left out."""
    return {step.step: {"resources": step.resources} for step in advice if step.resources}


def _advice(step: str, tries: Sequence[CallTry], margin: float) -> StepAdvice:
    cores, ram_mib = largest(found.cores for found in tries), largest(found.ram_mib for found in tries)
    used_cores = largest(found.average_cores for found in tries if (found.running_s or 0) >= _SHORTEST_S)
    used_mib = largest(found.peak_memory_mib for found in tries)
    return StepAdvice(
        step=step,
        cores=cores,
        used_cores=used_cores,
        advised_cores=None if used_cores is None else _fitting_cores(used_cores * (1 + margin), cores),
        ram_mib=ram_mib,
        used_mib=used_mib,
        advised_mib=None if used_mib is None else _STEP_MIB * math.ceil(used_mib * (1 + margin) / _STEP_MIB),
        idle_core_s=total(_idle(found, found.cores, found.average_cores) for found in tries),
        idle_mib_s=total(_idle(found, found.ram_mib, found.peak_memory_mib) for found in tries),
    )


def _fitting_cores(needed: float, asked: float | None) -> float:
    """Return whole cores, or the part of one that was asked for where it is enough."""
    return asked if asked is not None and needed <= asked < 1 else max(1, math.ceil(needed))


def _idle(found: CallTry, asked: float | None, used: float | None) -> float | None:
    return None if asked is None or used is None else max(0.0, asked - used) * (found.running_s or 0.0)
