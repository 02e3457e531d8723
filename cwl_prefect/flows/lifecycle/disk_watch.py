"""Look at the disk while calls run: they may fill it although there was room when they began."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cwl_prefect._lib.background import alongside
from cwl_prefect.engine.scheduling.disk import shortage

INTERVAL_S = 5.0

_logger = logging.getLogger(__name__)


@asynccontextmanager
async def watched(directory: Path, least_mib: float) -> AsyncIterator[None]:
    """Warn once each time that room runs short, for as long as this is open; calls that run are left alone.

    Args:
        directory: Where workspaces are.
        least_mib: Room that must be left; with 0 nothing is looked at.
    """
    if least_mib <= 0:
        yield
        return
    async with alongside(_watch(directory, least_mib)):
        yield


async def _watch(directory: Path, least_mib: float) -> None:
    told = False
    while True:
        await asyncio.sleep(INTERVAL_S)
        found = await asyncio.to_thread(shortage, directory, least_mib)  # a network file system may let it wait
        if found is not None and not told:
            _logger.warning("the disk is nearly full: %s. Calls that run go on; the next to begin will fail.", found)
        told = found is not None
