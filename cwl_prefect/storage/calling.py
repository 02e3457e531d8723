"""How methods of file systems are called: awaited, on fsspec's own loop or in a thread, and again where that helps."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from threading import Event
from typing import TYPE_CHECKING, TypeVar, cast

from cwl_prefect.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from fsspec import AbstractFileSystem
    from fsspec.callbacks import Callback

_TRIES, _LONGEST_WAIT_S = 5, 20.0

T = TypeVar("T")
R = TypeVar("R")


async def called(filesystem: "AbstractFileSystem", method: str, *arguments: object, **options: object) -> object:
    """Return what a method of a file system returns; whoever is cancelled does not wait for it."""
    if not filesystem.async_impl:
        return await asyncio.to_thread(getattr(filesystem, method), *arguments, **options)
    work = cast("Coroutine[object, object, object]", getattr(filesystem, f"_{method}")(*arguments, **options))
    if asyncio.get_running_loop() is filesystem.loop:
        return await work
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, filesystem.loop))


async def each_in_turn(turns: asyncio.Semaphore, items: Iterable[T], work: Callable[[T], Awaitable[R]]) -> list[R]:
    """Return what some work gives for each item, as many at a time as there are turns; the first failure ends the rest.

    Raises:
        Exception: What the first one raised that failed.
    """

    async def in_turn(item: T) -> R:
        """Wait for a turn."""
        async with turns:
            return await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(in_turn(item)) for item in items]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def put(filesystem: "AbstractFileSystem", source: "Path", path: str, **options: object) -> None:
    """Copy a file to a file system; once the caller is cancelled, no further block is written."""
    stopped = Event()
    try:
        await called(filesystem, "put_file", str(source), path, callback=_ending_with(stopped), **options)
    finally:
        stopped.set()


def _ending_with(stopped: Event) -> "Callback":
    """Return a callback, told of each block, that ends the copying in a thread which nobody could cancel."""
    from fsspec.callbacks import Callback

    class Ending(Callback):  # type: ignore[misc]  # fsspec has no types
        """Raises once the copying is to end."""

        def call(self, *_: object, **__: object) -> None:
            """Look whether to go on."""
            if stopped.is_set():
                raise InterruptedError

    return Ending()


def patiently(work: Callable[[], T], stop: Event) -> T:
    """Do something, and again where its failure may pass by itself (tenacity).

    Args:
        work: Does it.
        stop: Set once nobody waits for it any more.

    Raises:
        StorageError: It failed for good, or too often.
    """
    from tenacity import (
        Retrying,
        retry_if_exception,
        stop_after_attempt,
        stop_when_event_set,
        wait_random_exponential,
    )
    from tenacity.nap import sleep_using_event

    trying = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, StorageError) and error.passing),
        stop=stop_after_attempt(_TRIES) | stop_when_event_set(stop),
        wait=wait_random_exponential(multiplier=0.5, max=_LONGEST_WAIT_S),
        sleep=sleep_using_event(stop),
        reraise=True,
    )
    return trying(work)
