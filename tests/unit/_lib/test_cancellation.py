"""What has to be done is done, and what is to end has ended."""

import asyncio

import pytest

from cwl_prefect._lib.cancellation import cancel_and_wait, shielded


class Work:
    """Takes its time, whoever cancels its caller."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()
        self.error = error
        self.done = False

    async def __call__(self) -> str:
        self.begun.set()
        await self.may_end.wait()
        self.done = True
        if self.error is not None:
            raise self.error
        return "result"


async def cancelled_twice(work: Work) -> "asyncio.Task[str]":
    caller = asyncio.create_task(shielded(work()))
    await work.begun.wait()
    for _ in range(2):
        caller.cancel()
        await asyncio.sleep(0)
    work.may_end.set()
    return caller


class TestShielded:
    async def test_it_gives_what_the_work_gives(self):
        work = Work()
        work.may_end.set()
        assert await shielded(work()) == "result"

    async def test_it_raises_what_the_work_raises(self):
        work = Work(ValueError("broken"))
        work.may_end.set()
        with pytest.raises(ValueError, match="broken"):
            await shielded(work())

    async def test_the_work_ends_although_the_caller_is_cancelled_twice(self):
        work = Work()
        caller = await cancelled_twice(work)
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert work.done

    async def test_a_failure_of_the_work_does_not_hide_that_the_caller_was_cancelled(self):
        work = Work(ValueError("broken"))
        caller = await cancelled_twice(work)
        with pytest.raises(asyncio.CancelledError) as raised:
            await caller
        assert raised.value.__cause__ is work.error


class TestCancelAndWait:
    async def test_all_have_cleaned_up(self):
        cleaned: list[int] = []

        async def busy(number: int) -> None:
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0)
                cleaned.append(number)

        tasks = [asyncio.create_task(busy(number)) for number in range(3)]
        await asyncio.sleep(0)
        await cancel_and_wait(*tasks)
        assert cleaned == [0, 1, 2]

    async def test_who_cancels_the_caller_again_does_not_disturb_how_they_clean_up(self):
        cleaned: list[int] = []

        async def busy(number: int) -> None:
            try:
                await asyncio.sleep(60)
            finally:
                for _ in range(9):
                    await asyncio.sleep(0)
                cleaned.append(number)

        tasks = [asyncio.create_task(busy(number)) for number in range(3)]
        await asyncio.sleep(0)
        caller = asyncio.create_task(cancel_and_wait(*tasks))
        for _ in range(3):
            await asyncio.sleep(0)
            caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert cleaned == [0, 1, 2]

    async def test_what_they_raise_is_seen_and_forgotten(self):
        async def broken() -> None:
            raise ValueError("broken")

        task = asyncio.create_task(broken())
        await asyncio.wait([task])
        await cancel_and_wait(task)
        assert task.done()

    async def test_nothing_to_cancel(self):
        before = asyncio.all_tasks()
        await cancel_and_wait()
        assert asyncio.all_tasks() == before
