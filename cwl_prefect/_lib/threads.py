"""Calls that may block, away from the event loop."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(threads: Executor, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what a function returns that is called in one of the threads, in this context of variables."""
    call = partial(copy_context().run, function, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(threads, call)


async def in_daemon_thread(function: Callable[[], T]) -> T:
    """Return what a function returns that may never end, in a thread of its own that keeps no process alive."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[T] = loop.create_future()

    def settle(settled: Callable[[], None]) -> None:
        """Hand over how the function ended, unless nobody waits any more."""
        if not ended.done():
            settled()

    def work() -> None:
        """Call the function and send its result or failure to the loop."""
        try:
            settled = partial(ended.set_result, function())
        except (Exception, SystemExit) as error:  # noqa: BLE001 - handed over
            settled = partial(ended.set_exception, error)
        with suppress(RuntimeError):  # the loop may have ended
            loop.call_soon_threadsafe(settle, settled)

    threading.Thread(target=work, name="cwl-prefect-daemon", daemon=True).start()
    return await ended
