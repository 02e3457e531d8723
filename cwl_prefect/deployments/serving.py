"""Serve a workflow from this process, without any work pool: for development."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, cast
from uuid import UUID

from cwl_prefect.deployments.connection import Connection, connected
from cwl_prefect.deployments.deployment import DeploymentRequest, DeploymentResult, register
from cwl_prefect.settings import Settings

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment
    from prefect.runner import Runner

PAUSE_TIMEOUT_S = 10.0
"""Seconds that the server has for pausing the deployment at the end."""


class _Registered:
    """A deployment that is on the server already, for Prefect's runner."""

    storage = None

    def __init__(self, result: DeploymentResult) -> None:
        self.name = result.full_name
        self._deployment_id = result.deployment_id

    async def aapply(self) -> UUID:  # codespell:ignore aapply
        """Return the id of the deployment; Prefect's runner registers deployments by this call."""
        return self._deployment_id


async def serve(
    request: DeploymentRequest,
    settings: Settings,
    ready: Callable[[DeploymentResult], None],
    ended: Callable[[DeploymentResult, bool], None],
) -> None:
    """Deploy a workflow and run what is asked of it as processes of this machine, until cancelled.

    At the end the deployment is paused, so that its schedules plan no runs that nobody would start, and what still runs
    is cancelled: a runner that is merely cancelled kills its processes and leaves their runs Running, with containers.

    Args:
        request: What to serve; it names no pool.
        settings: Settings.
        ready: Told once runs can be started.
        ended: Told when nothing is served any more, and whether the deployment could be paused.

    Raises:
        ServerError: No Prefect API can be reached or started.
        UsageError: The server refuses what is asked.
    """
    from prefect.runner import Runner

    async with connected(settings) as connection:
        result = await register(request, connection)
        await connection.client.resume_deployment(result.deployment_id)  # the last who served it left it paused
        # The runner itself would pause it without a word, and lose its way where no server answers.
        runner = Runner(name=result.full_name.replace("/", " "), pause_on_shutdown=False)
        await runner.aadd_deployment(cast("RunnerDeployment", _Registered(result)))
        running = asyncio.create_task(runner.start())
        try:
            ready(result)
            await asyncio.shield(running)
        finally:
            paused = await _paused(result, connection)
            await _stopped(runner, running)
            ended(result, paused)


async def _paused(result: DeploymentResult, connection: Connection) -> bool:
    import httpx

    try:
        async with asyncio.timeout(PAUSE_TIMEOUT_S):
            await connection.client.pause_deployment(result.deployment_id)
    except (httpx.HTTPError, TimeoutError):
        return False
    return True


async def _stopped(runner: "Runner", running: "asyncio.Task[None]") -> None:
    if runner.started:
        await runner.astop()
    else:
        running.cancel()
    await asyncio.wait([running])
