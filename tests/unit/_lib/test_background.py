"""What is done alongside something else ends with it, and hides nothing."""

import asyncio

import pytest

from cwl_prefect._lib.background import alongside


class Work:
    """Goes on until it is cancelled, and then takes its time to end."""

    ended = False

    async def __call__(self) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            self.ended = True


async def test_it_has_ended_at_the_end() -> None:
    work = Work()
    async with alongside(work()):
        await asyncio.sleep(0)
    assert work.ended


async def test_a_caller_that_is_cancelled_while_it_ends_is_cancelled() -> None:
    async def caller() -> None:
        async with alongside(Work()()):
            await asyncio.sleep(0)

    running = asyncio.create_task(caller())
    await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_fault_of_the_work_is_not_hidden() -> None:
    async def broken() -> None:
        raise ValueError("of its own")

    with pytest.raises(ValueError, match="of its own"):
        async with alongside(broken()):
            await asyncio.sleep(0)
