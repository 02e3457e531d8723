"""Whether an engine answers, and work that is done once."""

import pytest

from cwl_prefect.backends.choice import docker_available
from cwl_prefect.backends.once import Once
from tests.unit.backends.stub_engine import StubEngine


@pytest.fixture
def _fresh() -> None:
    docker_available.cache_clear()


@pytest.mark.usefixtures("_fresh")
def test_an_engine_that_answers_is_asked_once(engine: StubEngine) -> None:
    assert docker_available()
    assert docker_available()
    assert engine.asked("version") == 1
    docker_available.cache_clear()


@pytest.mark.usefixtures("_fresh")
def test_a_missing_engine_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/engine.sock")
    assert not docker_available()
    docker_available.cache_clear()


class TestOnce:
    async def test_the_value_is_known_once_it_is_made(self) -> None:
        async def double(number: int) -> int:
            return 2 * number

        once = Once(double)
        assert once.peek(2) is None
        assert await once.get(2) == 4
        assert (once.peek(2), once.peek(3)) == (4, None)

    async def test_an_error_is_no_value(self) -> None:
        async def fail(_: int) -> int:
            raise ValueError("no")

        once = Once(fail)
        for _ in range(2):
            with pytest.raises(ValueError, match="no"):
                await once.get(1)
        assert once.peek(1) is None
