"""Deploy what keeps a machine clean."""

from cwl_prefect.deploy.connection import connected
from cwl_prefect.deploy.pools import read_pool
from cwl_prefect.errors import UsageError
from cwl_prefect.settings import Settings

NAME = "workspace-gc"


async def deploy_collection(pool: str, cron: str, settings: Settings) -> tuple[str, str]:
    """Make or update the deployment that collects workspaces, and give its name and the command of a worker.

    Args:
        pool: Work pool whose workers see the workspaces.
        cron: When it runs.
        settings: Say which API is used.

    Raises:
        UsageError: There is no such pool, or the schedule is none.
        ServerError: No Prefect API can be reached or started.
    """
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import CronSchedule
    from pydantic import ValidationError

    from cwl_prefect.runs.housekeeping import ENTRYPOINT, collect_workspaces

    try:
        schedule = DeploymentScheduleCreate(schedule=CronSchedule(cron=cron), active=True)
    except ValidationError as error:
        raise UsageError(f"--cron: {cron!r} is no schedule.", hint="write it as cron does: '17 3 * * *'.") from error
    async with connected(settings) as connection:
        await read_pool(connection, pool)
        flow_id = await connection.client.create_flow_from_name(collect_workspaces.name)
        await connection.client.create_deployment(
            flow_id=flow_id,
            name=NAME,
            schedules=[schedule],
            work_pool_name=pool,
            entrypoint=ENTRYPOINT,
            concurrency_limit=1,
        )
        return f"{collect_workspaces.name}/{NAME}", connection.worker_command(pool)
