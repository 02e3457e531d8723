"""Do something for as long as something else lasts."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager


@asynccontextmanager
async def alongside(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Let work go on for as long as this is open; it is cancelled at the end, and has ended then.

    Raises:
        CancelledError: The caller was cancelled, also while the work was ending.
    """
    working = asyncio.create_task(work)
    try:
        yield
    finally:
        working.cancel()
        await asyncio.wait([working])
        if not working.cancelled():
            working.result()
