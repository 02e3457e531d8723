"""Ending tasks, and doing what must be done to its end although somebody is ending ours."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def shielded(work: Awaitable[T]) -> T:
    """Do something to its end even while the caller is being cancelled, also more than once.

    Raises:
        CancelledError: The caller was cancelled meanwhile; what the work raised, if anything, is its cause.
    """
    doing = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not doing.done():
        try:
            await asyncio.wait([doing])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return doing.result()
    raise cancelled from (None if doing.cancelled() else doing.exception())


async def cancel_and_wait(*tasks: "asyncio.Task[object]") -> None:
    """Cancel tasks once and wait until they have cleaned up; what they return or raise is nobody's concern any more.

    Raises:
        CancelledError: The caller was cancelled meanwhile, which does not disturb what the tasks still have to do.
    """
    for task in tasks:
        task.cancel()
    await shielded(asyncio.gather(*tasks, return_exceptions=True))
