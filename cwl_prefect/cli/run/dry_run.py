"""What ``run --dry-run`` prints: what each step would do and ask for, and what only the run can tell."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence

from cwl_prefect.cli.exit_codes import SUCCESS
from cwl_prefect.cli.failures import report_failure
from cwl_prefect.cli.terminal import complain, tell, tell_table
from cwl_prefect.flows.explain.dry_run import Fate, ForecastCall, forecast
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.model.values import CwlObject
from cwl_prefect.settings import Settings

_HEAD = ("STEP", "CALLS", "CACHED", "RUN", "UNKNOWN", "CORES", "MEMORY", "RUNS IN")
_SHOWN_ERRORS = 5


def dry_run(plan: WorkflowPlan, job_order: CwlObject, settings: Settings) -> int:
    """Print what a run would do, and return the exit code that it would fail with, or 0 where nothing is known of that.

    Raises:
        CwlPrefectError: It could not even begin.
    """
    found = asyncio.run(forecast(plan, job_order, settings))
    steps: dict[str, list[ForecastCall]] = {}
    for call in found:
        steps.setdefault(call.step, []).append(call)
    tell_table([_HEAD, *(_row(step, calls) for step, calls in steps.items())])
    for calls in steps.values():
        for line in _remarks(calls):
            tell(line)
    tell(_summary(found))
    if settings.steps_pool is not None:
        complain(
            f"What the work pool {settings.steps_pool} adds is not looked up: see `cwl-prefect explain-job --pool`."
        )
    errors = [call.error for call in found if call.error is not None]
    codes = [report_failure(error) for error in errors[:_SHOWN_ERRORS]]
    return codes[0] if codes else SUCCESS


def _row(step: str, calls: Sequence[ForecastCall]) -> tuple[str, ...]:
    fates = Counter(call.fate for call in calls)
    resources = next((call.resources for call in calls if call.resources is not None), None)
    asked = any(call.contained is not None and call.fate is not Fate.CACHED for call in calls)
    return (
        step,
        "?" if any(call.several for call in calls) else str(len(calls)),
        *(str(fates[fate] or "") for fate in (Fate.CACHED, Fate.RUNS, Fate.UNKNOWN)),
        "" if not asked else "?" if resources is None else f"{resources.cores:g}",
        "" if not asked else "?" if resources is None else f"{resources.ram_mib:.0f} MiB",
        _place(calls),
    )


def _place(calls: Sequence[ForecastCall]) -> str:
    contained = next((call.contained for call in calls if call.contained is not None), None)
    if contained is None:
        return ""
    image = next((call.image for call in calls if call.image is not None), "a container")
    return image if contained else "a process"


def _remarks(calls: Sequence[ForecastCall]) -> Iterator[str]:
    """Yield what a table cannot say of a step: once, however many calls it concerns."""
    unknown = {port: why for call in calls for port, why in call.unknown.items()}
    notes = dict.fromkeys(note for call in calls for note in call.notes)
    skipped = sum(call.fate is Fate.SKIPPED for call in calls)
    told = [*notes, *(f"{port} is not known: {why}" for port, why in unknown.items())]
    if skipped:
        told.append("its when is false" if skipped == len(calls) else f"the when of {skipped} calls is false")
    yield from (f"{calls[0].step}: {remark}" for remark in told)


def _summary(calls: Sequence[ForecastCall]) -> str:
    fates = Counter(call.fate for call in calls)
    words = {
        Fate.CACHED: "cached",
        Fate.RUNS: "to run",
        Fate.UNKNOWN: "not known before the run",
        Fate.SKIPPED: "skipped",
        Fate.REFUSED: "not possible",
    }
    told = ", ".join(f"{fates[fate]} {word}" for fate, word in words.items() if fates[fate])
    return f"Nothing was run. Calls: {told or 'none'}."
