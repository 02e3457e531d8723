"""Start the local server again where it was killed while a run uses it.

Prefect's client tries for about a minute to reach a server that is gone, again for each thing that it has to say: a run
would hang at its end, and fail although all its calls succeeded.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cwl_prefect._lib.background import alongside
from cwl_prefect.errors import ServerError
from cwl_prefect.server.local_server import ApiEndpoint, server_files, start
from cwl_prefect.server.state import is_killed
from cwl_prefect.settings import Settings

INTERVAL_S = 2.0
GRACE_S = 0.5  # a server that was told to stop takes its record away with it

_logger = logging.getLogger(__name__)


@asynccontextmanager
async def kept(endpoint: ApiEndpoint, settings: Settings) -> AsyncIterator[None]:
    """Have the local server at its address for as long as this is open, unless somebody stops it."""
    if not endpoint.ours:
        yield
        return
    async with alongside(_keep(settings)):
        yield


async def _keep(settings: Settings) -> None:
    files, told = server_files(settings), False
    while True:
        await asyncio.sleep(INTERVAL_S)
        if not is_killed(files):
            continue
        await asyncio.sleep(GRACE_S)
        if not is_killed(files):
            continue
        try:
            await start(settings)
            _logger.warning("the local Prefect server was killed and is there again; its log may have gaps.")
            told = False
        except ServerError as error:
            if not told:
                _logger.warning("%s", error)
            told = True
