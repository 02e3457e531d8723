"""Look at the disk while calls run: they may fill it although there was room when they began."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cwl_prefect.engine.disk import Room
from cwl_prefect.flows.alongside import alongside

INTERVAL_S = 5.0

_logger = logging.getLogger(__name__)


@asynccontextmanager
async def watched(room: Room, *, interval_s: float = INTERVAL_S) -> AsyncIterator[None]:
    """Warn once each time that room runs short, for as long as this is open; calls that run are left alone."""
    if not room.bounded:
        yield
        return
    async with alongside(_watch(room, interval_s)):
        yield


async def _watch(room: Room, interval_s: float) -> None:
    told = False
    while True:
        await asyncio.sleep(interval_s)
        shortage = await asyncio.to_thread(room.shortage)  # a network file system may let it wait
        if shortage is not None and not told:
            _logger.warning("the disk is nearly full: %s. Calls that run go on; the next to begin will fail.", shortage)
        told = shortage is not None
