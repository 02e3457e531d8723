"""When runs of a deployment start by themselves, and whether they could run then."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import ValidationError

from cwl_prefect.errors import InputError, UsageError
from cwl_prefect.flows.params import parameter_names
from cwl_prefect.model.plan import WorkflowPlan

if TYPE_CHECKING:
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.responses import DeploymentResponse
    from prefect.client.schemas.schedules import CronSchedule

_FIELDS = ("minute", "hour", "day of the month", "month", "day of the week")
_HINT = 'write minute, hour, day of the month, month and day of the week: "0 6 * * 1-5" is six o\'clock on workdays.'


def new_schedules(cron: str | None, interval: timedelta | None) -> "list[DeploymentScheduleCreate]":
    """Give the schedules that are asked for.

    Raises:
        UsageError: The cron text is none.
    """
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import IntervalSchedule

    schedules = []
    if cron is not None:
        schedules.append(DeploymentScheduleCreate(schedule=cron_schedule(cron), active=True))
    if interval is not None:
        schedules.append(DeploymentScheduleCreate(schedule=IntervalSchedule(interval=interval), active=True))
    return schedules


def kept_schedules(before: "DeploymentResponse | None") -> "list[DeploymentScheduleCreate]":
    """Keep the schedules that were made in the UI or earlier; the server drops what it is not given."""
    from prefect.client.schemas.actions import DeploymentScheduleCreate

    return [
        DeploymentScheduleCreate(
            schedule=each.schedule,
            active=each.active,
            max_scheduled_runs=each.max_scheduled_runs,
            parameters=each.parameters,
            slug=each.slug,
        )
        for each in (before.schedules if before is not None else ())
    ]


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


def cron_schedule(text: str) -> "CronSchedule":
    """Read a schedule.

    Raises:
        UsageError: It is none; the text names the field that is wrong.
    """
    schedule = _read(text)
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


def _read(text: str) -> "CronSchedule | None":
    from prefect.client.schemas.schedules import CronSchedule

    try:
        return CronSchedule(cron=text)
    except ValidationError:
        return None
