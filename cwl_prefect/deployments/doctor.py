"""Look at everything that a run needs, and say what would stop it and how to fix that."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version
from pydantic import JsonValue

from cwl_prefect.backends.docker.checks import docker_findings
from cwl_prefect.backends.job_template.job_variables import JobVariables
from cwl_prefect.backends.template_checks import CHECK as TEMPLATE
from cwl_prefect.backends.template_checks import lost_results, remedy, template_findings
from cwl_prefect.deployments.connection import Connection, connected
from cwl_prefect.deployments.deployed_checks import (
    DEPLOYMENT,
    deployment_finding,
    driver_of,
    drives_from_here,
    read_deployment,
    refusals,
    with_job_variables,
)
from cwl_prefect.deployments.machine_checks import machine_findings
from cwl_prefect.deployments.pools import PoolType, read_pool
from cwl_prefect.errors import CwlPrefectError
from cwl_prefect.flows.execution.work_pool import default_template, job_variables
from cwl_prefect.model.findings import Finding
from cwl_prefect.settings import BackendName, Settings

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import WorkPool

    from cwl_prefect.backends.kubernetes.driver_check import Driver

API, POOL = "Prefect API", "work pool"

_ONLINE = "READY"


async def examine(
    settings: Settings, pool_name: str | None = None, deployment_name: str | None = None
) -> list[Finding]:
    """Look at this machine, the Prefect API, and the work pool or deployment where one is named.

    Args:
        settings: Settings of the runs.
        pool_name: Work pool whose workers run flows, or whose template steps use.
        deployment_name: Deployment, as ``flow/deployment``, whose pool is looked at with its job variables.
    """
    found = await asyncio.to_thread(machine_findings, settings)
    pool: WorkPool | None = None
    try:
        async with connected(settings) as connection:
            found.append(await _api(connection))
            given: Mapping[str, JsonValue] | None = None
            if deployment_name is not None:
                deployment = await read_deployment(deployment_name, connection)
                found.append(deployment_finding(deployment, deployment_name))
                pool_name, given = deployment.work_pool_name, deployment.job_variables or {}
            if pool_name is not None:
                pool = await read_pool(connection, pool_name)
                found += await _pool(pool, connection, given, for_steps_alone=settings.steps_pool == pool.name)
                found += await _cluster(pool, connection, settings, given or {})
    except CwlPrefectError as error:
        named = POOL if deployment_name is None else DEPLOYMENT
        asked = pool_name is not None or deployment_name is not None
        check = named if asked and any(each.check == API for each in found) else API
        found.append(Finding.error(check, error.message, fix=error.hint or "see `cwl-prefect server status`."))
    if pool is None and settings.backend is BackendName.KUBERNETES:
        found += await _on_kubernetes(settings, job_variables(settings, None))
    elif pool is None or pool.type in (PoolType.DOCKER, PoolType.PROCESS):
        needed = settings.backend is BackendName.DOCKER or (pool is not None and pool.type == PoolType.DOCKER)
        if settings.backend is not BackendName.LOCAL:
            found += await docker_findings(settings.runs, needed=needed)
    return found


async def _api(connection: Connection) -> Finding:
    import prefect

    server = await connection.client.api_version()
    return version_finding(server, prefect.__version__, connection.endpoint.url)


def version_finding(server: str, client: str, url: str) -> Finding:
    """Compare the version of a Prefect server with that of the client; a server may be newer, but not older."""
    message = f"{url} answers: server {server}, client {client}."
    try:
        served, asking = Version(server), Version(client)
    except InvalidVersion:
        return Finding.ok(API, message)
    if served.major != asking.major:
        return Finding.error(API, message, fix="use the same major version of Prefect on both sides.")
    if (served.major, served.minor) < (asking.major, asking.minor):
        return Finding.warning(API, message, fix="update the server first: Prefect supports clients that are no newer.")
    return Finding.ok(API, message)


async def _pool(
    pool: "WorkPool",
    connection: Connection,
    given: Mapping[str, JsonValue] | None = None,
    *,
    for_steps_alone: bool,
) -> list[Finding]:
    """Look at a pool with the job variables that a deployment gives over it; None: no deployment is looked at."""
    if pool.type not in set(PoolType):
        kinds = ", ".join(PoolType)
        return [
            Finding.error(
                POOL,
                f"{pool.name} is of type {pool.type}: steps run on pools of type {kinds}.",
                fix="name one of those, or let only flow runs be on it and give steps another by --steps-pool.",
            )
        ]
    template = pool.base_job_template or default_template(pool.type)
    found = [_use(pool, connection), *template_findings(pool.type, template)]
    if given is not None:
        found += refusals(given, pool)
    lost = None if for_steps_alone else lost_results(pool.type, template, given)
    if lost is not None:
        found.append(Finding.error(TEMPLATE, lost, fix=f"{remedy(pool.type)} Not needed for --steps-pool."))
    return found + await _merged(pool, with_job_variables(template, given or {}), connection)


def _use(pool: "WorkPool", connection: Connection) -> Finding:
    told = f"{pool.name} is a {pool.type} pool"
    if pool.is_paused:
        fix = f"prefect work-pool resume {pool.name}"
        return Finding.warning(POOL, f"{told}, and paused: no flow run starts on it.", fix=fix)
    if pool.status is not None and pool.status.value != _ONLINE:
        fix = f"{connection.worker_command(pool.name)}; not needed for --steps-pool."
        return Finding.warning(POOL, f"{told} without a worker: flow runs on it wait.", fix=fix)
    return Finding.ok(POOL, f"{told}, and has a worker.")


async def _merged(pool: "WorkPool", variables: JobVariables, connection: Connection) -> list[Finding]:
    """Let Prefect fill the template, as it will for steps."""
    step = variables.for_step("")
    try:
        if pool.type == PoolType.DOCKER:
            from cwl_prefect.backends.docker.template import docker_defaults

            await docker_defaults(step, client=connection.client)
        elif pool.type == PoolType.KUBERNETES:
            from cwl_prefect.backends.kubernetes.manifest.defaults import kubernetes_defaults

            await kubernetes_defaults(step, client=connection.client)
    except ImportError as error:
        message = f"steps cannot run on it from here: {error}."
        return [Finding.error(POOL, message, fix=f"pip install 'cwl-prefect[{pool.type}]'")]
    except CwlPrefectError as error:
        return [Finding.error(TEMPLATE, error.message, fix=error.hint or "see `prefect work-pool inspect`.")]
    return []


async def _cluster(
    pool: "WorkPool", connection: Connection, settings: Settings, given: Mapping[str, JsonValue]
) -> list[Finding]:
    if pool.type != PoolType.KUBERNETES:
        return []
    template = pool.base_job_template or default_template(pool.type)
    driver = None if drives_from_here(settings, pool) else driver_of(pool, template, given)
    return await _on_kubernetes(settings, with_job_variables(template, given), connection.client, driver)


async def _on_kubernetes(
    settings: Settings,
    variables: JobVariables,
    client: "PrefectClient | None" = None,
    driver: "Driver | None" = None,
) -> list[Finding]:
    try:
        from cwl_prefect.backends.kubernetes.checks import kubernetes_findings

        return await kubernetes_findings(settings, variables, client=client, driver=driver)
    except ImportError as error:
        return [Finding.error("Kubernetes API", f"{error}.", fix="pip install 'cwl-prefect[kubernetes]'")]
