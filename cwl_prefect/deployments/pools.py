"""Work pools made from the job templates of this package."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from pydantic import JsonValue

from cwl_prefect.backends.job_template.job_variables import packaged_template
from cwl_prefect.deployments.connection import Connection, connected
from cwl_prefect.errors import UsageError
from cwl_prefect.flows.execution.work_pool import default_template
from cwl_prefect.flows.prefect_names import demand_name
from cwl_prefect.settings import Settings

if TYPE_CHECKING:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.client.schemas.objects import WorkPool


class PoolType(StrEnum):
    """Where the workers of a pool start flow runs."""

    PROCESS = "process"
    DOCKER = "docker"
    KUBERNETES = "kubernetes"


class Existing(StrEnum):
    """What becomes of a pool that is there already."""

    OVERWRITE = "overwrite"  # it gets the packaged job template
    UPDATE = "update"  # so it does, with the defaults that were changed in it
    KEEP = "keep"  # it stays as it is
    REFUSE = "refuse"  # it is an error


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolResult:
    """A work pool that was made.

    Attributes:
        name: Its name.
        url: Its page in the Prefect UI.
        worker_command: What starts a worker for it.
        kept: Whether it was there already, and is as it was.
        replaced: Whether it was there already, and has another job template now.
        defaults: Job variables whose defaults are as they were.
    """

    name: str
    url: str | None
    worker_command: str
    kept: bool = False
    replaced: bool = False
    defaults: tuple[str, ...] = ()


async def create_pool(
    name: str, pool_type: PoolType, settings: Settings, *, existing: Existing = Existing.REFUSE
) -> PoolResult:
    """Make a work pool whose job template suits workflows.

    Args:
        name: Name of the pool.
        pool_type: Where its workers start flow runs.
        settings: Settings.
        existing: What becomes of a pool of this name and type.

    Raises:
        ServerError: No Prefect API can be reached or started.
        UsageError: Prefect forbids the name; or there is a pool of this name, and it is of another type, or to be
            refused.
    """
    from prefect.exceptions import ObjectAlreadyExists

    demand_name(name, of="work pool")
    template, kept, replaced = packaged_template(pool_type.value), False, False
    defaults: tuple[str, ...] = ()
    async with connected(settings) as connection:
        try:
            await connection.client.create_work_pool(_wanted(name, pool_type, template))
        except ObjectAlreadyExists:
            found = await read_pool(connection, name)
            _demand_fitting(found, pool_type, wanted=existing is not Existing.REFUSE)
            kept, replaced = existing is Existing.KEEP, existing is not Existing.KEEP
            if existing is Existing.UPDATE:
                template, defaults = with_defaults_of(found, template)
            if replaced:
                await connection.client.create_work_pool(_wanted(name, pool_type, template), overwrite=True)
        return PoolResult(
            kept=kept,
            replaced=replaced,
            defaults=defaults,
            name=name,
            url=connection.page(f"work-pools/work-pool/{quote(name)}"),
            worker_command=connection.worker_command(name),
        )


def _wanted(name: str, pool_type: PoolType, template: dict[str, JsonValue]) -> "WorkPoolCreate":
    from prefect.client.schemas.actions import WorkPoolCreate

    return WorkPoolCreate(name=name, type=pool_type.value, base_job_template=template)


def with_defaults_of(pool: "WorkPool", template: dict[str, JsonValue]) -> tuple[dict[str, JsonValue], tuple[str, ...]]:
    """Return a template with the defaults that somebody changed in a pool, and the names of their job variables.

    Those of Prefect's own template for the pool's type were not chosen by anybody.
    """
    plain, had, packaged = map(_properties, (default_template(pool.type), pool.base_job_template, template))
    changed = {
        name: had[name]["default"]
        for name, found in packaged.items()
        if "default" in had.get(name, {})
        and had[name]["default"] not in (found.get("default"), plain.get(name, {}).get("default"))
    }
    properties = {
        name: {**found, "default": changed[name]} if name in changed else found for name, found in packaged.items()
    }
    variables = cast("dict[str, JsonValue]", template["variables"])
    return {**template, "variables": {**variables, "properties": properties}}, tuple(sorted(changed))


def _properties(template: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = template.get("variables", {}).get("properties", {})
    return found


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
            hint="choose another name, or give it the packaged job template with --update.",
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
