"""Calls that may block, away from the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(threads: Executor, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what a function returns that is called in one of the threads."""
    return await asyncio.get_running_loop().run_in_executor(threads, partial(function, *args, **kwargs))
