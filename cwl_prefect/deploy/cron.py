"""Schedules as cron writes them."""

from typing import TYPE_CHECKING

from pydantic import ValidationError

from cwl_prefect.errors import UsageError

if TYPE_CHECKING:
    from prefect.client.schemas.schedules import CronSchedule

_FIELDS = ("minute", "hour", "day of the month", "month", "day of the week")
_HINT = 'write minute, hour, day of the month, month and day of the week: "0 6 * * 1-5" is six o\'clock on workdays.'


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
