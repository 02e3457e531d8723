"""Work pools made from the job templates of this package."""

import shlex
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import quote

from cwl_prefect.backends.job_template.job_variables import packaged_template
from cwl_prefect.deploy.connection import Connection, connected
from cwl_prefect.errors import UsageError
from cwl_prefect.flows.prefect_names import demand_name
from cwl_prefect.settings import Settings

if TYPE_CHECKING:
    from prefect.client.schemas.objects import WorkPool


class PoolType(StrEnum):
    """Where the workers of a pool start flow runs."""

    PROCESS = "process"
    DOCKER = "docker"
    KUBERNETES = "kubernetes"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolResult:
    """A work pool that was made.

    Attributes:
        name: Its name.
        url: Its page in the Prefect UI.
        worker_command: What starts a worker for it.
        kept: Whether it was there already, and is as it was.
    """

    name: str
    url: str | None
    worker_command: str
    kept: bool = False


async def create_pool(
    name: str, pool_type: PoolType, settings: Settings, *, overwrite: bool = False, keep: bool = False
) -> PoolResult:
    """Make a work pool whose job template suits workflows.

    Args:
        name: Name of the pool.
        pool_type: Where its workers start flow runs.
        settings: Settings.
        overwrite: Whether a pool of this name gets the packaged job template.
        keep: Whether a pool of this name and type is left as it is.

    Raises:
        ServerError: No Prefect API can be reached or started.
        UsageError: Prefect forbids the name; or there is a pool of this name, and it is of another type, or neither to
            be overwritten nor to be kept.
    """
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists

    demand_name(name, of="work pool")
    kept = False
    async with connected(settings) as connection:
        pool = WorkPoolCreate(name=name, type=pool_type.value, base_job_template=packaged_template(pool_type.value))
        try:
            await connection.client.create_work_pool(pool)
        except ObjectAlreadyExists:
            _demand_fitting(await read_pool(connection, name), pool_type, wanted=overwrite or keep)
            if overwrite:
                await connection.client.create_work_pool(pool, overwrite=True)
            kept = not overwrite
        return PoolResult(
            kept=kept,
            name=name,
            url=connection.page(f"work-pools/work-pool/{quote(name)}"),
            worker_command=connection.worker_command(name),
        )


def _demand_fitting(pool: "WorkPool", pool_type: PoolType, *, wanted: bool) -> None:
    """Refuse a pool that is there already: one of another type, whose type Prefect never changes, or any if unwanted.

    Raises:
        UsageError: It is of another type, or unwanted.
    """
    if pool.type != pool_type.value:
        raise UsageError(
            f"There is a work pool {pool.name} already, of type {pool.type}.",
            hint=f"choose another name, or delete it with `prefect work-pool delete {shlex.quote(pool.name)}`.",
        )
    if not wanted:
        raise UsageError(
            f"There is a work pool {pool.name} already.",
            hint="choose another name, or give it the packaged job template with --overwrite.",
        )


async def read_pool(connection: Connection, name: str) -> "WorkPool":
    """Read a work pool.

    Raises:
        UsageError: There is none of this name.
    """
    from prefect.exceptions import ObjectNotFound

    try:
        return await connection.client.read_work_pool(name)
    except ObjectNotFound as error:
        raise UsageError(
            f"There is no work pool {name}.",
            hint=f"make one: cwl-prefect pool create {name} --type process, docker or kubernetes.",
        ) from error
