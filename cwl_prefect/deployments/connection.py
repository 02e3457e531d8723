"""A client of the Prefect API that runs use, and its errors in words of this package."""

import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cwl_prefect.server.local_server import ApiEndpoint
from cwl_prefect.settings import Settings

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A Prefect API and a client of it."""

    client: "PrefectClient"
    endpoint: ApiEndpoint

    def worker_command(self, pool: str) -> str:
        """Return what starts a worker of a pool in a shell, which may know nothing of this API."""
        before = 'eval "$(cwl-prefect server env)"; ' if self.endpoint.ours else ""
        return f"{before}prefect worker start --pool {shlex.quote(pool)}"

    def page(self, path: str) -> str | None:
        """Return the address of a page of the Prefect UI, if there is one."""
        return f"{self.endpoint.ui_url}/{path}" if self.endpoint.ui_url else None


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Connection]:
    """Connect to the API that the user configured, or else to a local server that is started here.

    Raises:
        ServerError: It cannot be reached, or answers with an error of its own.
        UsageError: It refuses what it is asked, and says why.
    """
    from prefect import get_client

    from cwl_prefect.flows import session
    from cwl_prefect.server.failures import api_failures

    with api_failures("Prefect's API failed"):
        async with session.connected(settings) as endpoint, get_client() as client:
            yield Connection(client=client, endpoint=endpoint)
