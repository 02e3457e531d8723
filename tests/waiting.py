"""Wait for what happens in its own time, and no longer than it may take."""

import asyncio
import time
from collections.abc import Callable

_PAUSE_S = 0.02


def until(condition: Callable[[], object], timeout_s: float = 30.0, pause_s: float = _PAUSE_S) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(pause_s)


async def eventually(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Wait until something holds, and let other tasks do their work meanwhile."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(_PAUSE_S)
