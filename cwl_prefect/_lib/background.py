"""Do something for as long as something else lasts."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager

from cwl_prefect._lib.cancellation import cancel_and_wait


@asynccontextmanager
async def alongside(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Let work go on for as long as this is open; it is cancelled at the end, and has ended then.

    Raises:
        CancelledError: The caller was cancelled, also while the work was ending.
    """
    working = asyncio.create_task(work, name=getattr(work, "__name__", None))
    try:
        yield
    finally:
        await cancel_and_wait(working)
        if not working.cancelled():
            working.result()
