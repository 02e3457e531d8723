"""Lines that a tool prints, sent to the run's log while it runs; files keep every byte."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

from cwl_prefect.engine.tail import Follower
from cwl_prefect.flows.alongside import alongside

INTERVAL_S = 2.0


@asynccontextmanager
async def followed(path: Path, *, name: str, most: int) -> AsyncIterator[None]:
    """Send the lines of a file to the run's log while a call runs, and what is left at its end.

    Args:
        path: What the tool prints to.
        name: Name of the call, before each message.
        most: How many lines are sent in all.
    """
    follower = Follower(path, most=most)
    try:
        async with alongside(_follow(follower, name)):
            yield
    finally:
        _send(follower.more(ended=True), name)


async def _follow(follower: Follower, name: str) -> None:
    while True:
        await asyncio.sleep(INTERVAL_S)
        _send(follower.more(ended=False), name)


def _send(lines: list[str], name: str) -> None:
    if not lines:
        return
    with contextlib.suppress(MissingContextError):
        get_run_logger().info("%s: %s", name, "\n".join(lines))
