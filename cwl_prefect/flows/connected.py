"""The API that a run works with: the one that is configured, or the local server that all runs share."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from prefect import Flow
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL, temporary_settings

from cwl_prefect.flows.server import ApiEndpoint, lease
from cwl_prefect.settings import Settings


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[ApiEndpoint]:
    """Let Prefect work with the API that runs use, which stays for as long as this is open.

    Raises:
        ServerError: The configured API does not answer, or the local server does not start.
    """
    async with lease(settings) as endpoint:
        with temporary_settings(updates=_api_settings(endpoint)):
            yield endpoint


def _api_settings(endpoint: ApiEndpoint) -> dict[Any, Any]:
    if not endpoint.ours:
        return {}
    return {PREFECT_API_URL: endpoint.url, PREFECT_UI_URL: endpoint.ui_url}


class ConnectedFlow(Flow[..., Any]):
    """A flow whose calls run on the local server that all runs share, where no API is configured.

    Prefect itself would start a server for the process, and take it away at the end with all that it shows.
    """

    _settings: Settings

    @classmethod
    def of(cls, body: Callable[..., Any], settings: Settings, **options: Any) -> "ConnectedFlow":
        """Make a flow of a function, with the options of Prefect's flows."""
        made = cls(body, **options)
        made._settings = settings
        return made

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the flow; to be awaited, as any flow of an async function."""
        if FlowRunContext.get() is not None or PREFECT_API_URL.value():
            return super().__call__(*args, **kwargs)
        return self._connected(*args, **kwargs)

    async def _connected(self, *args: Any, **kwargs: Any) -> Any:
        call = cast("Callable[..., Awaitable[Any]]", super().__call__)
        async with connected(self._settings):
            return await call(*args, **kwargs)
