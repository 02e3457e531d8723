"""Work with the API that runs use, by Prefect's client."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from prefect.client.orchestration import PrefectClient

from cwl_prefect.cli.failures import settings_with
from cwl_prefect.cli.log_output import configure_logging
from cwl_prefect.deployments.connection import connected
from cwl_prefect.settings import Settings

T = TypeVar("T")


def with_api(work: Callable[[PrefectClient, Settings], Awaitable[T]]) -> T:
    """Do work with a client, and return its result.

    Raises:
        ServerError: No Prefect API can be reached or started.
        UsageError: It refuses what it is asked.
    """
    configure_logging()
    settings = settings_with({})

    async def run() -> T:
        """Do the work with a client."""
        async with connected(settings) as connection:
            return await work(connection.client, settings)

    return asyncio.run(run())
