import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cwl_prefect.engine.scheduling.fair_queue import Rank, Turns


class Crowd:
    """Calls that take turns; who is in stays until told to leave."""

    def __init__(self, most: int, *, shares: Turns | None = None) -> None:
        self.turns = Turns(most, shares=shares)
        self.order: list[str] = []
        self.inside = 0
        self.most = 0
        self._leaving: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def come(self, name: str, step: str, priority: int = 0) -> None:
        self._leaving[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._stay(name, Rank(step=step, priority=priority)))

    async def leave(self, name: str) -> None:
        self._leaving[name].set()
        await settled()

    async def _stay(self, name: str, rank: Rank) -> None:
        async with self.turns.turn(rank):
            self.order.append(name)
            self.inside += 1
            self.most = max(self.most, self.inside)
            try:
                await self._leaving[name].wait()
            finally:
                self.inside -= 1


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_no_more_than_allowed_are_in():
    crowd = Crowd(2)
    for number in range(5):
        crowd.come(f"a{number}", "a")
    await settled()
    assert crowd.order == ["a0", "a1"]
    await crowd.leave("a0")
    assert crowd.order == ["a0", "a1", "a2"]


async def test_a_step_that_comes_later_does_not_wait_for_a_whole_wide_scatter():
    crowd = Crowd(4)
    for number in range(100):
        crowd.come(f"wide{number}", "wide")
    await settled()
    crowd.come("late", "late")
    await crowd.leave("wide0")
    assert crowd.order[-1] == "late"


async def test_a_higher_priority_goes_first():
    crowd = Crowd(1)
    crowd.come("first", "x")
    await settled()
    crowd.come("low", "low", -1)
    crowd.come("usual", "usual")
    crowd.come("high", "high", 5)
    for name in ("first", "high", "usual", "low"):
        await settled()
        await crowd.leave(name)
    assert crowd.order == ["first", "high", "usual", "low"]


@pytest.mark.parametrize("when", ["waiting", "just let in"])
async def test_a_cancelled_waiter_gives_its_place_back(when):
    crowd = Crowd(1)
    for name in ("a", "b", "c"):
        crowd.come(name, name)
    await settled()
    if when == "just let in":
        crowd._leaving["a"].set()
        await asyncio.sleep(0)  # `a` wakes and leaves; `b` is granted and has not run yet
    crowd.tasks["b"].cancel()
    await settled()
    await crowd.leave("a")
    assert crowd.order[-1] == "c"
    await crowd.leave("c")
    assert crowd.turns._free == 1
    assert not crowd.turns._waiting
    assert not crowd.turns._in_hand


async def test_shares_are_those_of_the_outer_bound():
    outer = Crowd(100)
    inner = Crowd(1, shares=outer.turns)
    for number in range(5):
        outer.come(f"wide{number}", "wide")
    outer.come("small", "small")
    await settled()
    inner.come("in", "other")
    await settled()
    inner.come("wide", "wide")
    inner.come("small", "small")
    await settled()
    await inner.leave("in")
    assert inner.order == ["in", "small"]


def rank_of(name: str, steps: dict, held: Counter, last: dict) -> tuple[int, int, int, int]:
    step, priority = steps[name]
    return (-priority, held[step], last.get(step, 0), int(name))


@settings(max_examples=60)
@given(
    most=st.integers(1, 4),
    calls=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2)), min_size=1, max_size=30),
    data=st.data(),
)
def test_everybody_gets_in_and_in_the_right_order(most, calls, data):
    async def play() -> None:
        crowd = Crowd(most)
        steps = {f"{number}": (step, priority) for number, (step, priority) in enumerate(calls)}
        for name, (step, priority) in steps.items():
            crowd.come(name, step, priority)
        await settled()
        inside = list(crowd.order)
        while inside:
            out = inside.pop(data.draw(st.integers(0, len(inside) - 1)))
            held = Counter(steps[name][0] for name in inside)
            waiting = [name for name in steps if name not in crowd.order]
            await crowd.leave(out)
            new = [name for name in crowd.order if name in waiting]
            assert len(new) == min(1, len(waiting))
            for name in new:
                last = {steps[each][0]: place for place, each in enumerate(crowd.order[:-1], 1)}
                best = min(waiting, key=lambda each: rank_of(each, steps, held, last))
                assert name == best
                inside.append(name)
        assert len(crowd.order) == len(calls)
        assert crowd.most <= most
        assert crowd.turns._free == most

    asyncio.run(play())


@settings(max_examples=30)
@given(st.integers(1, 8), st.integers(20, 200), st.integers(1, 6))
def test_a_wide_scatter_never_starves_a_small_step(most, width, small):
    """However wide the scatter, a small step's calls are all in after as many turns as twice their number and a few."""

    async def play() -> None:
        crowd = Crowd(most)
        for number in range(width):
            crowd.come(f"w{number}", "wide")
        await settled()
        for number in range(small):
            crowd.come(f"s{number}", "small")
        turns = 0
        while sum(name.startswith("s") for name in crowd.order) < small:
            turns += 1
            oldest = next(name for name in crowd.order if not crowd.tasks[name].done())
            await crowd.leave(oldest)
            assert turns <= 2 * small + most

    asyncio.run(play())
