"""Whose turn it is: a bound on how many go on at once, fair between steps and with priorities."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """Who waits, and how urgent it is."""

    step: str  # calls of the same step share what they get
    priority: int = 0  # higher goes first


class Turns:
    """Lets so many in at once; the others wait.

    The next to be let in is of the highest priority that waits. Among equals it is of the step that has the fewest
    calls in hand, then of the one that was let in longest ago, so that a wide scatter starves nobody; and of its calls
    the one that has waited longest. A waiter that is cancelled gives its place back. Meant for one event loop; not for
    threads.

    Args:
        most: How many are in at once.
        shares: Counts the calls in hand by step, where another bound does that; its own where none is given.
    """

    def __init__(self, most: int, *, shares: "Turns | None" = None) -> None:
        self._free = most
        self._own = shares is None
        self._in_hand: Counter[str] = Counter() if shares is None else shares.in_hand
        self._waiting: dict[Rank, deque[_Waiter]] = {}
        self._let_in_last: dict[str, int] = {}
        self._arrivals = 0
        self._served = 0

    @property
    def in_hand(self) -> Counter[str]:
        """How many calls each step has in hand."""
        return self._in_hand

    @asynccontextmanager
    async def turn(self, rank: Rank) -> AsyncGenerator[None]:
        """Wait for a turn and hold it for as long as the context lasts."""
        await self._enter(rank)
        try:
            yield
        finally:
            self._leave(rank)

    async def _enter(self, rank: Rank) -> None:
        if self._free > 0 and not self._waiting:
            self._take(rank)
            return
        waiter = _Waiter(arrived=self._arrivals)
        self._arrivals += 1
        self._waiting.setdefault(rank, deque()).append(waiter)
        try:
            await waiter.granted
        except asyncio.CancelledError:
            if waiter.granted.done() and not waiter.granted.cancelled():
                self._leave(rank)
            else:
                self._forget(rank, waiter)
            raise

    def _take(self, rank: Rank) -> None:
        self._free -= 1
        self._served += 1
        self._let_in_last[rank.step] = self._served
        if self._own:
            self._in_hand[rank.step] += 1

    def _leave(self, rank: Rank) -> None:
        self._free += 1
        if self._own:
            self._in_hand[rank.step] -= 1
            if not self._in_hand[rank.step]:
                del self._in_hand[rank.step]
        self._let_in()

    def _let_in(self) -> None:
        while self._free > 0 and self._waiting:
            rank = min(self._waiting, key=self._order)
            waiter = self._waiting[rank][0]
            self._forget(rank, waiter)
            if not waiter.granted.done():  # it may have been cancelled, and not know yet
                self._take(rank)
                waiter.granted.set_result(None)

    def _order(self, rank: Rank) -> tuple[int, int, int, int]:
        last = self._let_in_last.get(rank.step, 0)
        return (-rank.priority, self._in_hand[rank.step], last, self._waiting[rank][0].arrived)

    def _forget(self, rank: Rank, waiter: "_Waiter") -> None:
        waiting = self._waiting.get(rank, deque())
        with suppress(ValueError):
            waiting.remove(waiter)
        if not waiting:
            self._waiting.pop(rank, None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Waiter:
    arrived: int
    granted: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
