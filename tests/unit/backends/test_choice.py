"""Which backend runs a step."""

import pytest

from cwl_prefect.backends.choice import choose, docker_available
from cwl_prefect.backends.once import Once
from cwl_prefect.model.job import DockerImage
from cwl_prefect.settings import BackendName
from tests.unit.backends.stub_engine import StubEngine

IMAGE = DockerImage(pull="busybox")


@pytest.mark.parametrize(
    ("requested", "image", "engine_answers", "expected"),
    [
        pytest.param(BackendName.AUTO, IMAGE, True, BackendName.DOCKER, id="auto-image-engine"),
        pytest.param(BackendName.AUTO, IMAGE, False, BackendName.LOCAL, id="auto-image-no-engine"),
        pytest.param(BackendName.AUTO, None, True, BackendName.LOCAL, id="auto-no-image"),
        pytest.param(BackendName.LOCAL, IMAGE, True, BackendName.LOCAL, id="local-image"),
        pytest.param(BackendName.DOCKER, IMAGE, False, BackendName.DOCKER, id="docker-image"),
        pytest.param(BackendName.DOCKER, None, True, BackendName.LOCAL, id="docker-no-image"),
    ],
)
def test_choice(requested: BackendName, image: DockerImage | None, engine_answers: bool, expected: BackendName) -> None:
    assert choose(requested, image, lambda: engine_answers) is expected


@pytest.mark.parametrize(
    ("requested", "image"), [(BackendName.AUTO, None), (BackendName.LOCAL, IMAGE), (BackendName.DOCKER, IMAGE)]
)
def test_the_engine_is_asked_only_where_it_matters(requested: BackendName, image: DockerImage | None) -> None:
    def unexpected() -> bool:
        raise AssertionError

    choose(requested, image, unexpected)


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
