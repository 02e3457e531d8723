"""Run asynchronous work so that Ctrl-C, SIGTERM and a closed terminal end it in order, and a second one at once."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import suppress
from time import monotonic
from types import FrameType
from typing import Any, Generic, TypeVar

from cwl_prefect.errors import InterruptedRunError
from cwl_prefect.flows.lifecycle.signalled import heeding

T = TypeVar("T")

GRACE_S = 20.0
"""Seconds that a stopped run has for ending its containers."""

NOTICE = b"Stopping: ending what runs. Once more to leave at once.\n"


def run_interruptibly(work: Callable[[], Coroutine[Any, Any, T]], *, grace_s: float = GRACE_S) -> T:
    """Run a coroutine on an event loop of its own and give its result.

    The loop runs in a thread: in the main thread, the Prefect engine would replace our signal handlers.

    Raises:
        InterruptedRunError: SIGINT, SIGTERM or SIGHUP came; the work was cancelled and had time to clean up.
    """
    running = _Running(work)
    before = {number: signal.signal(number, running.interrupt) for number in _heeded()}
    running.thread.start()
    while running.thread.is_alive():
        running.thread.join(0.2)
        if running.interrupted_at is not None and monotonic() > running.interrupted_at + grace_s:
            os._exit(InterruptedRunError.exit_code)
    if running.interrupted_at is not None:  # the handlers stay: a second signal still ends the process
        raise InterruptedRunError("The run was stopped.")
    for number, handler in before.items():
        signal.signal(number, handler)
    return running.result.result()


def _heeded() -> Iterator[signal.Signals]:
    yield signal.SIGINT
    yield signal.SIGTERM
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup sets it
        yield signal.SIGHUP


class _Running(Generic[T]):
    """A coroutine in its thread, and whether somebody wants it to end."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self.result: Future[T] = Future()
        self.interrupted_at: float | None = None
        self.thread = threading.Thread(target=self._run, name="cwl-prefect-run", daemon=True)
        self._work = work
        self._stop: Callable[[], object] | None = None

    def interrupt(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler
        """Cancel the work; the second time leave at once."""
        if self.interrupted_at is not None:
            os._exit(InterruptedRunError.exit_code)
        self.interrupted_at = monotonic()
        with suppress(OSError):  # the terminal may be gone
            os.write(2, NOTICE)
        if self._stop is not None:
            self._stop()

    def _run(self) -> None:
        try:
            self.result.set_result(asyncio.run(self._main()))
        except BaseException as exc:  # noqa: BLE001 - handed to the waiting thread
            self.result.set_exception(exc)

    async def _main(self) -> T:
        with heeding(lambda: self.interrupted_at is not None):
            task = asyncio.ensure_future(self._work())
        loop = asyncio.get_running_loop()
        self._stop = lambda: loop.call_soon_threadsafe(task.cancel)
        if self.interrupted_at is not None:
            task.cancel()
        return await task
