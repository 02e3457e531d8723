"""An event loop whose clock jumps: whatever waits for a time waits no longer than it takes to set the clock forward."""

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar, TypeVarTuple

Ts = TypeVarTuple("Ts")
T = TypeVar("T")


class _Jumping(selectors.DefaultSelector):
    """Sets the clock forward where the loop would sleep."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; time passes at once, but not while only another thread can go on."""
        if timeout is None:
            return super().select()
        self.now_s += max(timeout, 0.0)
        return super().select(0)


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop that begins at zero, and whose time is that of its timers alone.

    What would run in threads runs in its own: so nothing is under way elsewhere when the clock jumps.
    """

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the simulated time, in seconds since the loop was made."""
        return self._jumping.now_s

    def run_in_executor(
        self,
        executor: Executor | None,  # noqa: ARG002 - as asyncio has it
        func: Callable[[*Ts], T],
        *args: *Ts,
    ) -> asyncio.Future[T]:
        """Call a function at once."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - handed over
            done.set_exception(error)
        return done
