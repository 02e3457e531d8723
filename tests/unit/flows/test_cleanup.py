import asyncio
import logging

import pytest

from cwl_prefect.errors import BackendError
from cwl_prefect.flows import cleanup
from cwl_prefect.flows.cleanup import attempted, cleaned_up


class Steps:
    """Things to clean up, which take a while."""

    def __init__(self) -> None:
        self.done: list[str] = []

    async def __call__(self, name: str, error: Exception | None = None, seconds: float = 0.05) -> str:
        await asyncio.sleep(seconds)
        if error is not None:
            raise error
        self.done.append(name)
        return name


async def test_a_failure_is_told_and_the_rest_is_done(caplog):
    steps = Steps()
    with caplog.at_level(logging.ERROR):
        await cleaned_up(("backends", steps("a", OSError("disk gone"))), ("workspaces", steps("b")))
    assert steps.done == ["b"]
    assert "backends" in caplog.text
    assert "disk gone" in caplog.text


async def test_what_hangs_is_given_up(caplog, monkeypatch):
    monkeypatch.setattr(cleanup, "CLEANUP_TIMEOUT_S", 0.01)
    assert await attempted("backends", Steps()("a", seconds=60)) is None
    assert caplog.messages == ["backends: it took too long"]


async def test_an_own_error_is_told_by_its_text_alone(caplog):
    assert await attempted("Jobs could not be removed", Steps()("a", BackendError("no cluster"))) is None
    assert caplog.messages == ["Jobs could not be removed: no cluster"]
    assert "Traceback" not in caplog.text


async def test_cancelling_twice_still_lets_everything_be_done():
    steps = Steps()
    cleaning = asyncio.create_task(cleaned_up(("one", steps("a")), ("two", steps("b"))))
    await asyncio.sleep(0.01)
    cleaning.cancel()
    await asyncio.sleep(0.01)
    cleaning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cleaning
    assert steps.done == ["a", "b"]
