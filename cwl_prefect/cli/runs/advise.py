"""The command ``runs advise``."""

import json
from collections.abc import Sequence
from pathlib import Path

from cwl_prefect.cli.failures import settings_with
from cwl_prefect.cli.terminal import tell, tell_table
from cwl_prefect.reports.advice import StepAdvice, advise, overrides
from cwl_prefect.reports.files import find_directory, write
from cwl_prefect.reports.record import read_record, total

_HEAD = (
    "STEP",
    "CORES ASKED",
    "USED",
    "ADVISED",
    "MEMORY ASKED",
    "USED",
    "ADVISED",
    "IDLE CORE HOURS",
    "IDLE GIB HOURS",
)
_LEAST_H = 0.01


def advise_run(run: str, output: Path | None, *, margin_percent: float) -> None:
    """Print step overrides by which the steps of a run ask for what fits, or write them; tell what was asked in vain.

    Raises:
        InputError: Nothing is recorded of the run.
        UsageError: The file cannot be written.
    """
    found = advise(read_record(find_directory(run, settings_with({}).reports)), margin_percent / 100)
    _tell(found)
    text = json.dumps(overrides(found), indent=2) + "\n"
    if output is None:
        tell(text, end="")
    else:
        write(output, text)


def _tell(found: Sequence[StepAdvice]) -> None:
    if found:
        tell_table([_HEAD, *map(_row, found)], err=True)
    if all(step.advised_cores is None and step.advised_mib is None for step in found):
        tell("Nothing was measured of which a step's needs could be told.", err=True)
    else:
        cores, memory = total(step.idle_core_s for step in found), total(step.idle_mib_s for step in found)
        tell(f"Asked for and not used: core hours {_hours(cores)}, GiB hours {_hours(memory, of=1024)}.", err=True)


def _row(step: StepAdvice) -> tuple[str, ...]:
    numbers = (step.cores, step.used_cores, step.advised_cores)
    sizes = (step.ram_mib, step.used_mib, step.advised_mib)
    return (
        step.step,
        *("-" if number is None else f"{number:.3g}" for number in numbers),
        *("-" if mib is None else f"{mib:.0f} MiB" for mib in sizes),
        _hours(step.idle_core_s),
        _hours(step.idle_mib_s, of=1024),
    )


def _hours(seconds: float | None, *, of: int = 1) -> str:
    if seconds is None:
        return "-"
    hours = seconds / 3600 / of
    return "< 0.01" if 0 < hours < _LEAST_H else f"{hours:.2f}"
