"""Work with the API that runs use, by Prefect's client."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx
from prefect import get_client
from prefect.client.orchestration import PrefectClient

from cwl_prefect.cli.failures import settings_with
from cwl_prefect.cli.log_output import configure_logging
from cwl_prefect.errors import ServerError
from cwl_prefect.flows.connected import connected
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
        """Do the work with a client; what fails on the way to the API becomes an error of ours."""
        try:
            async with connected(settings), get_client() as client:
                return await work(client, settings)
        except httpx.HTTPError as error:
            raise ServerError(
                f"Prefect's API failed: {type(error).__name__}: {error}",
                hint="see `cwl-prefect server status`, or look at the server that PREFECT_API_URL names.",
            ) from error

    return asyncio.run(run())
