import pytest

from cwl_prefect.backends.fake import FakeBackend
from cwl_prefect.backends.local.backend import LocalBackend
from cwl_prefect.errors import BackendError, UnsupportedError
from cwl_prefect.flows.execution.backends import Backends
from cwl_prefect.flows.execution.work_pool import StepsPool
from cwl_prefect.model.plan import ToolPlan
from cwl_prefect.settings import BackendName, Settings
from tests import plans
from tests.engines import answer

AUTO, LOCAL, DOCKER = BackendName.AUTO, BackendName.LOCAL, BackendName.DOCKER


def tool(image: str | None) -> ToolPlan:
    """A tool whose image is a requirement, a hint or None."""
    docker = ({"class": "DockerRequirement", "dockerPull": "busybox"},)
    return plans.tool(requirements=docker if image == "requirement" else (), hints=docker if image == "hint" else ())


class Engines:
    """Backends that tell when they are made and closed."""

    def __init__(self, wanted: BackendName, *, answers: bool = True, **settings: object) -> None:
        self.made: list[str] = []
        self.closed: list[str] = []
        self.asked = 0
        self._answers = answers
        self.backends = Backends(
            Settings.model_validate({"backend": wanted, **settings}),
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

    async def _available(self) -> bool:
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


class TestContainersRequired:
    @pytest.mark.parametrize("image", ["hint", "requirement"])
    async def test_a_tool_with_an_image_runs_in_it(self, image):
        assert await Engines(AUTO, require_containers=True).choose(image) == "containers"

    @pytest.mark.parametrize(
        ("wanted", "image", "why"), [(AUTO, None, "names no image"), (LOCAL, "hint", "switched off")]
    )
    async def test_no_tool_runs_as_a_process(self, wanted, image, why):
        engines = Engines(wanted, require_containers=True)
        with pytest.raises(UnsupportedError, match=rf"align\[3\].*{why}"):
            await engines.choose(image)
        assert engines.made == []

    async def test_without_an_engine_a_hinted_image_is_refused(self):
        with pytest.raises(BackendError, match=r"align\[3\].*busybox"):
            await Engines(AUTO, answers=False, require_containers=True).choose("hint")

    async def test_a_default_image_is_that_of_tools_without_one(self):
        engines = Engines(AUTO, require_containers=True, default_image="debian")
        assert await engines.choose(None) == "containers"


async def test_a_default_image_needs_an_engine_only_where_there_is_one(caplog):
    assert await Engines(AUTO, default_image="debian").choose(None) == "containers"
    assert await Engines(LOCAL, default_image="debian").choose(None) == "processes"
    assert await Engines(AUTO, answers=False, default_image="debian").choose(None) == "processes"
    assert "debian" in caplog.text


async def test_a_required_image_is_refused_where_containers_are_switched_off():
    with pytest.raises(UnsupportedError, match=r"align\[3\].*busybox"):
        await Engines(LOCAL).choose("requirement")


@pytest.mark.parametrize(("wanted", "image"), [(AUTO, "requirement"), (DOCKER, "requirement"), (DOCKER, "hint")])
async def test_without_an_engine_an_image_is_refused(wanted, image):
    with pytest.raises(BackendError, match=r"align\[3\].*busybox"):
        await Engines(wanted, answers=False).choose(image)


async def test_tools_with_a_hinted_image_run_on_the_host_with_one_warning_a_run(caplog):
    engines = Engines(AUTO, answers=False)
    for _ in range(3):
        assert await engines.choose("hint") == "processes"
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "align[3]: no Docker engine answers" in record.message
    assert "busybox" in record.message


async def test_a_run_without_an_engine_says_nothing_of_the_next():
    assert await Engines(AUTO, answers=False).choose("hint") == "processes"
    assert await Engines(AUTO, answers=True).choose("hint") == "containers"


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
    backends = Backends(Settings(), pool=pool, available=answer(found=True))
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
    backends = Backends(Settings(backend=BackendName.KUBERNETES, default_image="debian:stable-slim"))
    assert (await backends.choose(tool("requirement"), name="align")).name == "kubernetes"
    assert (await backends.choose(tool(None), name="align")).name == "kubernetes"
    await backends.close()
