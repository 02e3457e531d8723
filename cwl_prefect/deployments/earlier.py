"""What a deployment has from before, set by ``deploy`` or in the Prefect UI: it stays unless it is changed."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import JsonValue

from cwl_prefect.errors import UsageError
from cwl_prefect.flows.prefect_names import without_mark

if TYPE_CHECKING:
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.responses import DeploymentResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """What an earlier deployment of the same name had, as far as it can stay.

    Attributes:
        schedules: Its schedules, active or not.
        parameters: Values that its form starts with, of inputs that are there still and take the same.
        job_variables: Its job variables.
        tags: Tags of its runs.
        concurrency_limit: How many runs of it there may be at once.
        collision_strategy: What becomes of a run beyond that.
        queue: Queue of the pool that its runs wait in.
        dropped: Parameters that it had and that do not fit the workflow any more.
    """

    schedules: "tuple[DeploymentScheduleCreate, ...]" = ()
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    job_variables: Mapping[str, JsonValue] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    concurrency_limit: int | None = None
    collision_strategy: str | None = None
    queue: str | None = None
    dropped: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        before: "DeploymentResponse",
        fields: Mapping[str, JsonValue],
        *,
        pool: str | None,
        known: Collection[str],
        same: bool = False,
    ) -> "Earlier":
        """Read what can stay.

        Args:
            before: The deployment as the server has it.
            fields: Schemas of the form's fields, by parameter.
            pool: Work pool that it has from now on.
            known: Job variables of that pool.
            same: Whether the workflow is the same, so that its values fit although another version describes the form.
        """
        had = (before.parameter_openapi_schema or {}).get("properties", {})
        fitting = {name for name in before.parameters if name in fields and (same or fields[name] == had.get(name))}
        limit, options = before.global_concurrency_limit, before.concurrency_options
        same_pool = before.work_pool_name == pool
        return cls(
            schedules=tuple(_schedules(before)),
            parameters={name: value for name, value in before.parameters.items() if name in fitting},
            job_variables={n: v for n, v in (before.job_variables or {}).items() if same_pool or n in known},
            tags=tuple(without_mark(before.tags)),
            concurrency_limit=limit.limit if limit is not None else None,
            collision_strategy=options.collision_strategy.value if limit is not None and options is not None else None,
            queue=before.work_queue_name if same_pool and pool is not None else None,
            dropped=tuple(sorted(set(before.parameters) - fitting)),
        )


def demand_same_pool(before: "DeploymentResponse", full_name: str, pool: str | None, *, move: bool) -> None:
    """Refuse to take a deployment away from the workers of another pool, unless that is meant.

    Raises:
        UsageError: It is in another pool.
    """
    if move or before.work_pool_name in (None, pool):
        return
    raise UsageError(
        f"There is a deployment {full_name} already, in the work pool {before.work_pool_name}.",
        hint=f"choose another --name{'' if pool is None else f', or take it to {pool} with --move'}.",
    )


def _schedules(before: "DeploymentResponse") -> "Iterator[DeploymentScheduleCreate]":
    from prefect.client.schemas.actions import DeploymentScheduleCreate

    for each in before.schedules:
        yield DeploymentScheduleCreate(
            schedule=each.schedule,
            active=each.active,
            max_scheduled_runs=each.max_scheduled_runs,
            parameters=each.parameters,
            slug=each.slug,
        )
