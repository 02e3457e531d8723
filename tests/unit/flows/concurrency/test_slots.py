"""Slots of the server's limits: waited for in turn, renewed, and given back however a call ends."""

import asyncio
import logging
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from cwl_prefect.engine.scheduling.shared_limits import CONCURRENCY
from cwl_prefect.errors import ServerError, UsageError
from cwl_prefect.flows.concurrency import demands, slots
from cwl_prefect.flows.concurrency.demands import shared_limits
from cwl_prefect.flows.concurrency.slots import SharedLimits
from tests.plans import step, tool, workflow

RUN = str(uuid4())
REQUEST = httpx.Request("POST", "http://api")


class Server:
    """Counts slots as a Prefect server does."""

    def __init__(self, **limits: int) -> None:
        self.limits = limits
        self.leases: dict[UUID, tuple[str, int]] = {}
        self.granted: list[str] = []
        self.renewed: list[UUID] = []
        self.answers_after: asyncio.Event | None = None
        self.status = 200

    def taken(self, name: str) -> int:
        return sum(count for held, count in self.leases.values() if held == name)

    def _check(self) -> None:
        if self.status != 200:
            raise httpx.HTTPStatusError("no", request=REQUEST, response=httpx.Response(self.status, request=REQUEST))

    async def increment_concurrency_slots_with_lease(
        self, *, names: list[str], slots: int, mode: str, lease_duration: float, holder: Any
    ) -> Any:
        assert (mode, lease_duration, str(holder.id)) == ("concurrency", 60, RUN)
        if self.answers_after is not None:
            await self.answers_after.wait()
        self._check()
        (name,) = names
        if self.taken(name) + slots > self.limits[name]:
            answer = httpx.Response(423, headers={"Retry-After": "30"}, request=REQUEST)
            raise httpx.HTTPStatusError("locked", request=REQUEST, response=answer)
        lease = uuid4()
        self.leases[lease] = (name, slots)
        self.granted.append(name)
        return SimpleNamespace(json=lambda: {"lease_id": str(lease), "limits": [name]})

    async def renew_concurrency_lease(self, *, lease_id: UUID, lease_duration: float) -> None:
        assert lease_duration == 60
        self.renewed.append(lease_id)
        self._check()

    async def release_concurrency_slots_with_lease(self, *, lease_id: UUID) -> None:
        self._check()
        del self.leases[lease_id]

    async def read_global_concurrency_limit_by_name(self, name: str) -> Any:
        from prefect.exceptions import ObjectNotFound

        if name not in self.limits:
            raise ObjectNotFound(Exception(name))
        return SimpleNamespace(limit=self.limits[name])

    async def __aenter__(self) -> "Server":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


def limits_of(server: Server) -> SharedLimits:
    client: Any = server
    return SharedLimits(run_id=RUN, client=client)


async def settled() -> None:
    """Let all that can go on do so."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_calls_hold_no_more_slots_than_there_are_and_the_next_goes_on_as_soon_as_one_is_free() -> None:
    server, most = Server(licences=2), 0
    limits = limits_of(server)

    async def call(number: int) -> None:
        nonlocal most
        async with limits.held({"licences": 1}, f"call[{number}]"):
            most = max(most, server.taken("licences"))
            await settled()

    async with asyncio.timeout(4):  # the server says to ask again after 30 s
        await asyncio.gather(*map(call, range(5)))

    assert (most, server.leases) == (2, {})


async def test_several_limits_are_asked_for_by_name_so_that_nobody_waits_in_a_circle() -> None:
    server = Server(a=1, b=1)
    async with limits_of(server).held({"b": 1, "a": 1}, "call"):
        assert server.granted == ["a", "b"]
    assert server.leases == {}


async def test_slots_come_back_although_the_call_fails_or_ends_in_another_task() -> None:
    server = Server(licences=1)
    limits = limits_of(server)
    with pytest.raises(ValueError, match="it failed"):
        async with limits.held({"licences": 1}, "call"):
            raise ValueError("it failed")
    stack = AsyncExitStack()
    await asyncio.create_task(stack.enter_async_context(limits.held({"licences": 1}, "call")))
    assert server.taken("licences") == 1
    await asyncio.create_task(stack.aclose())
    assert server.leases == {}


async def test_a_call_that_is_cancelled_while_it_waits_takes_nothing_and_blocks_nobody() -> None:
    server = Server(licences=1)
    limits = limits_of(server)

    async def call() -> None:
        async with limits.held({"licences": 1}, "call"):
            await asyncio.get_running_loop().create_future()

    async with limits.held({"licences": 1}, "first"):
        waiting = asyncio.create_task(call())
        await settled()
        waiting.cancel()
        await asyncio.wait([waiting])
    assert server.leases == {}
    async with asyncio.timeout(4), limits.held({"licences": 1}, "next"):
        pass


async def test_a_slot_that_is_granted_to_a_call_that_is_cancelled_meanwhile_comes_back() -> None:
    server = Server(licences=1)
    server.answers_after = asyncio.Event()

    async def call() -> None:
        async with limits_of(server).held({"licences": 1}, "call"):
            pass

    asking = asyncio.create_task(call())
    await settled()
    asking.cancel()
    await settled()
    server.answers_after.set()
    await asyncio.wait([asking])

    assert asking.cancelled()
    assert (server.granted, server.leases) == (["licences"], {})


async def test_a_lease_is_renewed_as_long_as_it_is_held_and_its_loss_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(slots, "_RENEWAL_S", 0)
    server = Server(licences=1)
    with caplog.at_level(logging.WARNING):
        async with limits_of(server).held({"licences": 1}, "align[3]"):
            await settled()
            assert set(server.renewed) == set(server.leases)
            assert not caplog.records
            server.status = 410
            await settled()
            server.status = 200
    assert "align[3] goes on although it may have lost its slots of licences" in caplog.text
    count = len(server.renewed)
    await settled()
    assert len(server.renewed) == count


async def test_a_slot_that_cannot_be_given_back_is_told_and_fails_no_call(caplog: pytest.LogCaptureFixture) -> None:
    server = Server(licences=1)
    async with limits_of(server).held({"licences": 1}, "call"):
        server.status = 500
    assert "come back after 60 s" in caplog.text


async def test_an_api_that_fails_is_an_error_of_the_server() -> None:
    server = Server(licences=1)
    server.status = 500
    with pytest.raises(ServerError, match="licences cannot be asked for"):
        async with limits_of(server).held({"licences": 1}, "call"):
            pass


async def test_who_waits_for_long_says_for_what(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(slots, "_TOLD_AFTER_S", 0)
    monkeypatch.setattr(slots, "_LONGEST_PAUSE_S", 0)
    limits = limits_of(Server(licences=1))

    async def call() -> None:
        async with limits.held({"licences": 1}, "align[3]"):
            pass

    async with limits.held({"licences": 1}, "first"):
        waiting = asyncio.create_task(call())
        await settled()
    await waiting
    assert caplog.text.count("align[3] waits for the concurrency limit licences") == 1


def plan(**limits: int) -> Any:
    hint: Any = {"class": CONCURRENCY, "limits": limits}
    return workflow(step("align", run=tool(hints=(hint,))))


async def test_a_workflow_without_limits_asks_no_server_and_one_that_is_only_shown_holds_nothing() -> None:
    async with shared_limits(workflow(step("align", run=tool())), RUN) as limits:
        assert limits.client is None
        async with limits.held({"licences": 1}, "shown"):
            pass


@pytest.mark.parametrize(
    ("server", "said"),
    [
        pytest.param(Server(), "align needs the concurrency limit 'licences'.*prefect gcl create licences", id="none"),
        pytest.param(Server(licences=1), "align occupies 2 slots .* which has 1.*gcl update", id="too-small"),
    ],
)
async def test_a_limit_that_can_never_be_had_ends_the_run_before_it_begins(
    server: Server, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefect.get_client", lambda: server)
    with pytest.raises(UsageError, match=f"(?s){said}"):
        async with shared_limits(plan(licences=2), RUN):
            pass
    assert list(demands._demands(plan(licences=2))) == [("align", "licences", 2)]
