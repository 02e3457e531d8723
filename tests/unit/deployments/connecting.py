"""A connection to a client of the test's choice, in place of one to a Prefect API."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from cwl_prefect.deployments.connection import Connection
from cwl_prefect.server.local_server import ApiEndpoint
from cwl_prefect.settings import Settings


def connected_to(client: object) -> Callable[[Settings], AbstractAsyncContextManager[Connection]]:
    """Return what stands in for :func:`cwl_prefect.deployments.connection.connected`."""

    @asynccontextmanager
    async def connected(_: Settings) -> AsyncIterator[Connection]:
        yield Connection(client=client, endpoint=ApiEndpoint(url="x", ui_url=None, started=False, ours=False))  # type: ignore[arg-type]

    return connected
