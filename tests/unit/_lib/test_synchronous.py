import asyncio
import threading
from contextvars import ContextVar

import pytest

from cwl_prefect._lib.synchronous import awaited

SAID = ContextVar("said", default="nothing")


async def told() -> tuple[str, bool]:
    await asyncio.sleep(0)
    return SAID.get(), threading.current_thread() is threading.main_thread()


async def failing() -> None:
    raise ValueError("as it is")


def test_plain_code_gets_the_result_in_its_own_context_and_thread():
    SAID.set("something")
    assert awaited(told) == ("something", True)


async def test_where_a_loop_runs_another_thread_has_one():
    SAID.set("something")
    assert awaited(told) == ("something", False)


async def test_errors_are_raised_as_they_are():
    with pytest.raises(ValueError, match="as it is"):
        awaited(failing)
