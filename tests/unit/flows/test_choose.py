import pytest

from cwl_prefect.backends.fake import FakeBackend
from cwl_prefect.backends.local import LocalBackend
from cwl_prefect.errors import BackendError, UnsupportedError
from cwl_prefect.flows.choose import Backends
from cwl_prefect.flows.pool import StepsPool
from cwl_prefect.model.plan import ToolPlan
from cwl_prefect.settings import BackendName, Settings
from tests import plans

AUTO, LOCAL, DOCKER = BackendName.AUTO, BackendName.LOCAL, BackendName.DOCKER


def tool(image: str | None) -> ToolPlan:
    """A tool whose image is a requirement, a hint or None."""
    docker = ({"class": "DockerRequirement", "dockerPull": "busybox"},)
    return plans.tool(requirements=docker if image == "requirement" else (), hints=docker if image == "hint" else ())


class Engines:
    """Backends that tell when they are made and closed."""

    def __init__(self, wanted: BackendName, *, answers: bool = True) -> None:
        self.made: list[str] = []
        self.closed: list[str] = []
        self.asked = 0
        self._answers = answers
        self.backends = Backends(
            Settings(backend=wanted),
            containers=lambda: self._make("containers"),
            processes=lambda: self._make("processes"),
            available=self._available,
        )

    def _make(self, kind: str) -> FakeBackend:
        self.made.append(kind)
        backend = FakeBackend(containers=kind == "containers")

        async def close() -> None:
            self.closed.append(kind)

        backend.close = close
        return backend

    def _available(self) -> bool:
        self.asked += 1
        return self._answers

    async def choose(self, image: str | None) -> str:
        found = await self.backends.choose(tool(image), name="align[3]")
        return "containers" if found.capabilities.containers else "processes"


@pytest.mark.parametrize(
    ("wanted", "answers", "image", "chosen"),
    [
        (AUTO, True, "requirement", "containers"),
        (AUTO, True, "hint", "containers"),
        (AUTO, True, None, "processes"),
        (AUTO, False, "hint", "processes"),
        (LOCAL, True, "hint", "processes"),
        (LOCAL, True, None, "processes"),
        (DOCKER, True, "hint", "containers"),
        (DOCKER, True, "requirement", "containers"),
        (DOCKER, True, None, "processes"),
        (DOCKER, False, None, "processes"),
    ],
)
async def test_a_call_runs_where_it_can(wanted, answers, image, chosen):
    assert await Engines(wanted, answers=answers).choose(image) == chosen


async def test_a_required_image_is_refused_where_containers_are_switched_off():
    with pytest.raises(UnsupportedError, match=r"align\[3\].*busybox"):
        await Engines(LOCAL).choose("requirement")


@pytest.mark.parametrize(("wanted", "image"), [(AUTO, "requirement"), (DOCKER, "requirement"), (DOCKER, "hint")])
async def test_without_an_engine_an_image_is_refused(wanted, image):
    with pytest.raises(BackendError, match=r"align\[3\].*busybox"):
        await Engines(wanted, answers=False).choose(image)


async def test_the_engine_is_asked_once():
    engines = Engines(AUTO)
    for _ in range(3):
        await engines.choose("hint")
    assert engines.asked == 1


@pytest.mark.parametrize(("wanted", "image"), [(AUTO, None), (LOCAL, "hint")])
async def test_the_engine_is_not_asked_for_nothing(wanted, image):
    engines = Engines(wanted)
    await engines.choose(image)
    assert engines.asked == 0


async def test_a_backend_is_opened_when_it_is_first_needed():
    engines = Engines(AUTO)
    assert engines.made == []
    for image in (None, "hint", None, "hint"):
        await engines.choose(image)
    assert engines.made == ["processes", "containers"]


async def test_every_open_backend_is_closed_once():
    engines = Engines(AUTO)
    await engines.choose(None)
    await engines.choose("hint")
    await engines.backends.close()
    await engines.backends.close()
    assert sorted(engines.closed) == ["containers", "processes"]


async def test_processes_run_on_this_machine_by_default():
    backends = Backends(Settings(backend=LOCAL))
    assert isinstance(await backends.choose(tool(None), name="x"), LocalBackend)
    await backends.close()


async def test_a_pool_of_a_type_that_cannot_run_steps_is_refused():
    pool = StepsPool(name="cluster", type="ecs", base_job_template={})
    backends = Backends(Settings(), pool=pool, available=lambda: True)
    with pytest.raises(UnsupportedError, match="work pool of type ecs"):
        await backends.choose(tool("hint"), name="align[3]")
    assert (await backends.choose(tool(None), name="align[3]")).name == "local"


async def test_on_a_kubernetes_pool_images_run_as_jobs():
    pool = StepsPool(name="cluster", type="kubernetes", base_job_template={"job_configuration": {}, "variables": {}})
    backends = Backends(Settings(), pool=pool)
    assert backends.cluster
    assert (await backends.choose(tool("hint"), name="align")).name == "kubernetes"
    assert (await backends.choose(tool(None), name="align")).name == "local"
    await backends.close()


async def test_without_a_pool_images_run_as_jobs_where_that_is_wanted():
    backends = Backends(Settings(backend=BackendName.KUBERNETES, kubernetes_default_image="debian:stable-slim"))
    assert (await backends.choose(tool("requirement"), name="align")).name == "kubernetes"
    assert (await backends.choose(tool(None), name="align")).name == "kubernetes"
    await backends.close()
