"""Work that is done once, however many ask for it."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Once(Generic[Key, Value]):
    """Does the work for each key once and gives everybody its result, or its error.

    Whoever is cancelled while waiting does not stop the work for the others.

    Args:
        work: Makes the value of a key.
    """

    def __init__(self, work: Callable[[Key], Awaitable[Value]]) -> None:
        self._work = work
        self._tasks: dict[Key, asyncio.Future[Value]] = {}

    async def get(self, key: Key) -> Value:
        """Return the value of a key, made now if nobody asked before.

        Raises:
            Exception: Whatever the work raised, also for those who ask later.
        """
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.ensure_future(self._work(key))
            task.add_done_callback(ignore_error)
        return await asyncio.shield(task)

    def peek(self, key: Key) -> Value | None:
        """Return the value of a key if it was made already."""
        task = self._tasks.get(key)
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return None
        return task.result()


def ignore_error(task: "asyncio.Future[Value]") -> None:
    """Mark a future's error as seen, so that asyncio does not complain where nobody asks for it."""
    if not task.cancelled():
        task.exception()
