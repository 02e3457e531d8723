"""What deploying would change on the server."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.objects import DeploymentSchedule
    from prefect.client.schemas.responses import DeploymentResponse

_PLAIN = {"parameters": "values of the form", "tags": "tags", "work_pool_name": "pool"}


def changes(before: "DeploymentResponse", wanted: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what of a deployment would be another, as people call it.

    Args:
        before: The deployment as the server has it.
        wanted: What it is to be, in the words of Prefect's client.
    """
    pairs = {
        "workflow": (before.version, wanted["version"]),
        "job variables": (before.job_variables or {}, wanted["job_variables"]),
        "schedules": (_spelt(before.schedules), _spelt(wanted["schedules"])),
        "concurrency limit": (_limit_before(before), _limit_wanted(wanted)),
        "queue": (before.work_queue_name or "default", wanted["work_queue_name"] or "default"),
        **{word: (getattr(before, name), wanted[name]) for name, word in _PLAIN.items()},
    }
    return tuple(word for word, (was, is_to_be) in pairs.items() if was != is_to_be)


def _spelt(schedules: "list[DeploymentSchedule] | list[DeploymentScheduleCreate]") -> list[tuple[str, bool]]:
    """Return schedules so that they can be compared; an interval's anchor is the moment it was made at."""
    spelt = [(each.schedule.model_dump_json(exclude={"anchor_date"}), each.active is not False) for each in schedules]
    return sorted(spelt)


def _limit_before(before: "DeploymentResponse") -> tuple[int | None, str]:
    limit, options = before.global_concurrency_limit, before.concurrency_options
    return (None if limit is None else limit.limit, "ENQUEUE" if options is None else options.collision_strategy.value)


def _limit_wanted(wanted: Mapping[str, Any]) -> tuple[int | None, str]:
    options = wanted.get("concurrency_options")
    return (wanted["concurrency_limit"], "ENQUEUE" if options is None else options.collision_strategy.value)
