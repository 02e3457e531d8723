import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cwl_prefect.engine.scheduling.scheduler import ResourcePool
from cwl_prefect.errors import ResourceError
from cwl_prefect.model.job import Resources
from cwl_prefect.settings import Settings


def need(cores: float = 1, ram_mib: float = 1) -> Resources:
    return Resources(cores=cores, ram_mib=ram_mib)


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def hold(pool, resources, log, name, release):
    async with pool.reserve(resources):
        log.append(name)
        await release.wait()


async def test_requests_are_served_in_order_so_that_a_large_one_is_not_starved():
    pool = ResourcePool(cores=2, ram_mib=100)
    log, gates = [], {name: asyncio.Event() for name in "abcd"}
    requests = {"a": need(1), "b": need(2), "c": need(1), "d": need(1)}
    tasks = [asyncio.create_task(hold(pool, requests[name], log, name, gates[name])) for name in "abcd"]
    await settle()
    assert log == ["a"]
    gates["a"].set()
    await settle()
    assert log == ["a", "b"]
    gates["b"].set()
    await settle()
    assert log == ["a", "b", "c", "d"]
    gates["c"].set()
    gates["d"].set()
    await asyncio.gather(*tasks)


async def test_a_cancelled_waiter_gives_its_place_to_the_next():
    pool = ResourcePool(cores=2, ram_mib=100)
    log, gate, open_gate = [], asyncio.Event(), asyncio.Event()
    open_gate.set()
    first = asyncio.create_task(hold(pool, need(1), log, "first", gate))
    await settle()
    large = asyncio.create_task(hold(pool, need(2), log, "large", open_gate))
    small = asyncio.create_task(hold(pool, need(1), log, "small", open_gate))
    await settle()
    assert log == ["first"]
    large.cancel()
    await settle()
    assert log == ["first", "small"]
    gate.set()
    await asyncio.gather(first, small)
    async with pool.reserve(need(2)):
        pass


async def test_a_waiter_cancelled_in_the_moment_it_is_served_gives_its_share_back():
    pool = ResourcePool(cores=1, ram_mib=100)
    log, open_gate = [], asyncio.Event()
    open_gate.set()
    async with pool.reserve(need(1)):
        waiting = asyncio.create_task(hold(pool, need(1), log, "waiting", open_gate))
        await settle()
    waiting.cancel()
    await settle()
    assert log == []
    async with asyncio.timeout(1):
        async with pool.reserve(need(1)):
            pass


async def test_an_error_inside_gives_the_share_back():
    pool = ResourcePool(cores=1, ram_mib=1)
    with pytest.raises(RuntimeError):
        async with pool.reserve(need()):
            raise RuntimeError
    async with pool.reserve(need()):
        pass


async def test_ten_tenths_of_a_core_fit_one_core():
    pool = ResourcePool(cores=1, ram_mib=10)
    log, gate = [], asyncio.Event()
    tasks = [asyncio.create_task(hold(pool, need(0.1), log, n, gate)) for n in range(11)]
    await settle()
    assert log == list(range(10))
    gate.set()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        pytest.param(need(3), r"align asks for 3 cores, 2 may be used$", id="cores"),
        pytest.param(need(1, 101), "align asks for 101 MiB of memory, 100 may be used", id="memory"),
        pytest.param(need(2.5, 101), "2.5 cores, 2 may be used and for 101 MiB", id="both"),
    ],
)
async def test_refuses_what_never_fits(resources, words):
    pool = ResourcePool(cores=2, ram_mib=100)
    with pytest.raises(ResourceError) as raised:
        pool.check(resources, "align")
    assert raised.match(words.rstrip("$"))
    assert "--max-cores" in raised.value.hint
    with pytest.raises(ResourceError):
        async with pool.reserve(resources):
            pass


REQUESTS = st.lists(
    st.tuples(st.floats(0, 4), st.floats(0, 100), st.integers(0, 3), st.booleans()),
    max_size=25,
)


@given(REQUESTS)
def test_never_exceeds_its_bounds_and_serves_everyone(requests):
    served, most_cores, most_ram = asyncio.run(_simulate(requests))

    assert most_cores <= 4 + 1e-4
    assert most_ram <= 100 + 1e-4
    assert served == sorted(served)
    assert {n for n, (*_, cancelled) in enumerate(requests) if not cancelled} <= set(served)


async def _simulate(requests):
    """Serve requests for cores, memory and turns, some cancelled; give who was served, and the most used at once."""
    pool = ResourcePool(cores=4, ram_mib=100)
    used, most = {"cores": 0.0, "ram": 0.0}, {"cores": 0.0, "ram": 0.0}
    served = []

    async def call(number, cores, ram, turns):
        async with pool.reserve(need(cores, ram)):
            served.append(number)
            used["cores"] += cores
            used["ram"] += ram
            most.update({name: max(most[name], used[name]) for name in used})
            try:
                for _ in range(turns):
                    await asyncio.sleep(0)
            finally:
                used["cores"] -= cores
                used["ram"] -= ram

    tasks = [asyncio.create_task(call(n, c, r, t)) for n, (c, r, t, _) in enumerate(requests)]
    await asyncio.sleep(0)
    for task, (*_, cancelled) in zip(tasks, requests, strict=True):
        if cancelled:
            task.cancel()
            await asyncio.sleep(0)
    async with asyncio.timeout(5):
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(end is None or isinstance(end, asyncio.CancelledError) for end in ends)
    async with asyncio.timeout(1), pool.reserve(need(4, 100)):
        return served, most["cores"], most["ram"]


def test_the_settings_cap_the_machine():
    whole = ResourcePool.of_machine(Settings())
    assert whole.cores > 0
    assert whole.ram_mib > 0
    capped = ResourcePool.of_machine(Settings(max_cores=0.5, max_ram_mib=10))
    assert (capped.cores, capped.ram_mib) == (0.5, 10)
    assert ResourcePool.of_machine(Settings(max_cores=10_000)).cores == whole.cores


async def test_a_call_that_asks_for_more_cores_than_the_machine_has_gets_all_of_them():
    pool = ResourcePool(cores=2, ram_mib=100, all_cores_for_more=True)
    all_of_them = pool.fitted(need(16), "align")
    pool.check(all_of_them, "align")
    assert all_of_them == need(2)
    assert pool.fitted(need(1), "align") == need(1)
    log, gate = [], asyncio.Event()
    gate.set()
    async with pool.reserve(all_of_them):
        second = asyncio.create_task(hold(pool, need(1), log, "second", gate))
        await settle()
        assert log == []
    await second
    assert log == ["second"]


async def test_memory_that_the_machine_does_not_have_is_refused_all_the_same():
    pool = ResourcePool(cores=2, ram_mib=100, all_cores_for_more=True)
    with pytest.raises(ResourceError, match=r"align asks for 101 MiB of memory, 100 may be used"):
        pool.check(pool.fitted(need(16, 101), "align"), "align")


@pytest.mark.parametrize(
    ("settings", "runs"),
    [pytest.param({}, True, id="the-machine"), pytest.param({"max_cores": 1}, False, id="a-setting")],
)
def test_only_a_setting_is_a_limit_for_the_cores_of_one_call(settings, runs):
    pool = ResourcePool.of_machine(Settings(**settings))
    assert (pool.fitted(need(100_000), "align").cores == pool.cores) is runs


def test_fewer_cores_are_told_once_for_each_step(caplog):
    pool = ResourcePool(cores=2, ram_mib=100, all_cores_for_more=True)
    for step in ("align", "align", "sort"):
        pool.fitted(need(16), step)
    pool.fitted(need(2), "index")
    assert caplog.messages == [
        "align asks for 16 cores and gets the 2 of this machine",
        "sort asks for 16 cores and gets the 2 of this machine",
    ]


class TestPriorities:
    async def test_higher_ones_are_served_first_and_equal_ones_in_order(self):
        pool, order = ResourcePool(cores=1, ram_mib=100), []

        async def hold(name: str, priority: int) -> None:
            async with pool.reserve(Resources(cores=1, ram_mib=1), priority=priority):
                order.append(name)
                await asyncio.sleep(0)

        async with pool.reserve(Resources(cores=1, ram_mib=1)):
            named = [("a", 0), ("b", 5), ("c", 0), ("d", 5), ("e", -1)]
            waiting = [asyncio.create_task(hold(*each)) for each in named]
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)
        assert order == ["b", "d", "a", "c", "e"]

    async def test_one_that_fits_need_not_wait_for_a_large_one_of_lower_priority(self):
        pool = ResourcePool(cores=2, ram_mib=100)
        large = Resources(cores=2, ram_mib=1)
        async with pool.reserve(Resources(cores=1, ram_mib=1)):
            waiting = asyncio.create_task(_held(pool, large))
            await asyncio.sleep(0)
            async with asyncio.timeout(1), pool.reserve(Resources(cores=1, ram_mib=1), priority=1):
                assert not waiting.done()
        await waiting


async def _held(pool: ResourcePool, resources: Resources) -> None:
    async with pool.reserve(resources):
        pass
