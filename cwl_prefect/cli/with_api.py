"""Work with the API that runs use, by Prefect's client."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from prefect import get_client
from prefect.client.orchestration import PrefectClient

from cwl_prefect.cli.failures import settings_with
from cwl_prefect.cli.log_output import configure_logging
from cwl_prefect.flows.connected import api_failures, connected
from cwl_prefect.settings import Settings

T = TypeVar("T")


def with_api(work: Callable[[PrefectClient, Settings], Awaitable[T]]) -> T:
    """Do work with a client, and give what it gives.

    Raises:
        ServerError: No Prefect API can be reached or started.
    """
    configure_logging()
    settings = settings_with({})

    async def run() -> T:
        """Do the work with a client."""
        with api_failures("Prefect's API failed"):
            async with connected(settings), get_client() as client:
                return await work(client, settings)

    return asyncio.run(run())
