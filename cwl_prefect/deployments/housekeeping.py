"""Deploy what keeps a machine clean."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import JsonValue

from cwl_prefect.backends.job_template.job_variables import check_flow_run_variables
from cwl_prefect.deployments.connection import Connection, connected
from cwl_prefect.deployments.pools import read_pool
from cwl_prefect.deployments.variables import demand_image
from cwl_prefect.errors import UsageError
from cwl_prefect.settings import Settings

if TYPE_CHECKING:
    from prefect.client.schemas.actions import DeploymentScheduleCreate


async def deploy_collection(
    pool: str,
    cron: str,
    settings: Settings,
    job_variables: Mapping[str, JsonValue],
    *,
    unused_for_s: float | None = None,
    most_bytes: int | None = None,
) -> tuple[str, str]:
    """Make or update a pool's deployment that keeps a machine clean; return its name and the command of a worker.

    Args:
        pool: Work pool whose workers see the workspaces.
        cron: When it runs.
        settings: Say which API is used.
        job_variables: Job variables over the pool's.
        unused_for_s: Seconds after which what nobody used in the call cache goes; None: it stays.
        most_bytes: How much may stay in the call cache; None: all.

    Raises:
        UsageError: There is no such pool, it needs an image or has no such job variable, or the schedule is none.
        ServerError: No Prefect API can be reached or started.
    """
    from cwl_prefect.runs.housekeeping import ENTRYPOINT, collect_workspaces

    schedule = _schedule(cron)
    async with connected(settings) as connection:
        await _check_variables(job_variables, pool, connection)
        await connection.client.create_deployment(
            flow_id=await connection.client.create_flow_from_name(collect_workspaces.name),
            name=pool,
            schedules=[schedule],
            work_pool_name=pool,
            entrypoint=ENTRYPOINT,
            concurrency_limit=1,
            job_variables=dict(job_variables),
            parameters={"unused_for_s": unused_for_s, "most_bytes": most_bytes},
        )
        return f"{collect_workspaces.name}/{pool}", connection.worker_command(pool)


def _schedule(cron: str) -> "DeploymentScheduleCreate":
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import CronSchedule
    from pydantic import ValidationError

    try:
        return DeploymentScheduleCreate(schedule=CronSchedule(cron=cron), active=True)
    except ValidationError as error:
        raise UsageError(f"--cron: {cron!r} is no schedule.", hint="write it as cron does: '17 3 * * *'.") from error


async def _check_variables(job_variables: Mapping[str, JsonValue], pool: str, connection: Connection) -> None:
    found = await read_pool(connection, pool)
    demand_image(job_variables, found)
    template = found.base_job_template
    check_flow_run_variables(job_variables, template, pool_type=found.type, for_steps=template)
