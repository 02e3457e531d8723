"""Await from code that cannot, also where a loop runs already, as in a notebook."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from anyio.from_thread import start_blocking_portal

T = TypeVar("T")


def awaited(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Call a coroutine function and return its result, in this context of variables.

    Where a loop runs in this thread, another thread has a loop for the call, and the running one stands still until
    the call ends. Ctrl-C ends the call in both cases.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(call())
    with start_blocking_portal() as portal:
        result: T = portal.call(call)
    return result
