"""When runs of a deployment start by themselves, and whether they could run then."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import available_timezones

from pydantic import ValidationError

from cwl_prefect._lib.suggestions import near
from cwl_prefect.errors import InputError, UsageError
from cwl_prefect.flows.parameters import parameter_names
from cwl_prefect.model.plan import WorkflowPlan

if TYPE_CHECKING:
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import CronSchedule

_FIELDS = ("minute", "hour", "day of the month", "month", "day of the week")
_HINT = 'write minute, hour, day of the month, month and day of the week: "0 6 * * 1-5" is six o\'clock on workdays.'


def new_schedules(
    crons: Sequence[str], intervals: Sequence[timedelta], timezone: str | None
) -> "list[DeploymentScheduleCreate]":
    """Return the schedules that are asked for.

    Args:
        crons: Texts as cron writes them.
        intervals: Times between two runs.
        timezone: Name of the time zone that they are in, as ``Europe/Berlin``; UTC where there is none.

    Raises:
        UsageError: A cron text is none, there is no such time zone, or one is given without any schedule.
    """
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import IntervalSchedule

    if timezone is not None:
        _demand_timezone(timezone, used=bool(crons or intervals))
    schedules = [
        *(cron_schedule(text, timezone) for text in crons),
        *(IntervalSchedule(interval=interval, timezone=timezone) for interval in intervals),
    ]
    return [DeploymentScheduleCreate(schedule=schedule, active=True) for schedule in schedules]


def _demand_timezone(name: str, *, used: bool) -> None:
    if not used:
        raise UsageError("--timezone says nothing without a schedule.", hint="give --cron or --interval too.")
    known = available_timezones()
    if name not in known:
        meant = near(name, known) or near(f"Europe/{name}", known)
        raise UsageError(
            f"--timezone: there is no time zone {name!r}.",
            hint=f"did you mean {meant}?" if meant else "write it as Europe/Berlin, America/New_York or UTC.",
        )


def demand_inputs(
    schedules: "Sequence[DeploymentScheduleCreate]", form: WorkflowPlan, parameters: Collection[str]
) -> None:
    """Refuse schedules whose runs could not begin, since nobody fills in their form.

    Args:
        schedules: What starts runs.
        form: The workflow as its form shows it.
        parameters: Names of the parameters that have a value.

    Raises:
        InputError: A required input has no value, or a schedule gives one that is no input.
    """
    names = parameter_names(form)
    for each in schedules:
        given = each.parameters or {}
        if unknown := sorted(set(given) - set(names.values())):
            raise InputError(
                f"{form.name}: a schedule gives {', '.join(unknown)}, which is no input any more.",
                hint="change that schedule in the Prefect UI, or replace it by --cron or --interval.",
            )
        known = {*given, *parameters}
        if each.active and (missing := [p.id for p in form.inputs if p.required and names[p.id] not in known]):
            raise InputError(
                f"{form.name}: runs that a schedule starts have no value for {', '.join(missing)}.",
                hint="give it by --param or --inputs-file.",
            )


def cron_schedule(text: str, timezone: str | None = None) -> "CronSchedule":
    """Read a schedule.

    Raises:
        UsageError: It is none; the text names the field that is wrong.
    """
    schedule = _read(text, timezone)
    if schedule is None:
        raise UsageError(f"--cron: {text!r} is no schedule: {_fault(text.split())}.", hint=_HINT)
    return schedule


def _fault(fields: list[str]) -> str:
    if len(fields) != len(_FIELDS):
        return f"it has {len(fields)} field{'' if len(fields) == 1 else 's'}, not {len(_FIELDS)}"
    for place, (name, field) in enumerate(zip(_FIELDS, fields, strict=True)):
        if _read(" ".join([*"*" * place, field, *"*" * (len(_FIELDS) - place - 1)])) is None:
            return f"{field!r} is no {name}"
    return "there is no such time"


def _read(text: str, timezone: str | None = None) -> "CronSchedule | None":
    from prefect.client.schemas.schedules import CronSchedule

    try:
        return CronSchedule(cron=text, timezone=timezone)
    except ValidationError:
        return None
