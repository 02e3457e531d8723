"""Lines that a tool prints, sent to the run's log while it runs; files keep every byte."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

from cwl_prefect._lib.background import alongside
from cwl_prefect.engine.outputs.tail import Follower
from cwl_prefect.engine.records.secrets import text_without

INTERVAL_S = 2.0


@asynccontextmanager
async def followed(path: Path, *, name: str, most: int, secret: Sequence[str]) -> AsyncIterator[None]:
    """Send the lines of a file to the run's log while a call runs, and what is left at its end.

    Args:
        path: What the tool prints to.
        name: Name of the call, before each message.
        most: How many lines are sent in all; with 0 the file is not looked at.
        secret: Texts that are not sent.
    """
    if not most:
        yield
        return
    follower = Follower(path, most=most)
    try:
        async with alongside(_follow(follower, name, secret)):
            yield
    finally:
        _send(follower.more(ended=True), name, secret)


async def _follow(follower: Follower, name: str, secret: Sequence[str]) -> None:
    while True:
        await asyncio.sleep(INTERVAL_S)
        _send(follower.more(ended=False), name, secret)


def _send(lines: list[str], name: str, secret: Sequence[str]) -> None:
    if not lines:
        return
    with contextlib.suppress(MissingContextError):
        get_run_logger().info("%s: %s", name, text_without("\n".join(lines), secret))
