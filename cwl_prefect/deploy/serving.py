"""Serve a workflow from this process, without any work pool: for development."""

from collections.abc import Callable
from typing import TYPE_CHECKING, cast
from uuid import UUID

from cwl_prefect.deploy.connection import connected
from cwl_prefect.deploy.deployment import DeploymentRequest, DeploymentResult, register
from cwl_prefect.settings import Settings

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment


class _Registered:
    """A deployment that is on the server already, for Prefect's runner."""

    storage = None

    def __init__(self, result: DeploymentResult) -> None:
        self.name = result.full_name
        self._deployment_id = result.deployment_id

    async def aapply(self) -> UUID:  # codespell:ignore aapply
        """Give the id of the deployment; Prefect's runner registers deployments by this call."""
        return self._deployment_id


async def serve(request: DeploymentRequest, settings: Settings, ready: Callable[[DeploymentResult], None]) -> None:
    """Deploy a workflow and run what is asked of it as processes of this machine, until cancelled.

    Args:
        request: What to serve; it names no pool.
        settings: Settings.
        ready: Told once runs can be started.

    Raises:
        ServerError: No Prefect API can be reached or started.
        UsageError: The server refuses what is asked.
    """
    from prefect.runner import Runner

    async with connected(settings) as connection:
        result = await register(request, connection)
        runner = Runner(name=result.full_name.replace("/", " "), pause_on_shutdown=False)
        await runner.aadd_deployment(cast("RunnerDeployment", _Registered(result)))
        ready(result)
        await runner.start()
