"""Making work pools, also where one of the name is there; the server is a dictionary."""

from types import SimpleNamespace

import pytest
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists

from cwl_prefect.backends.job_template.job_variables import packaged_template
from cwl_prefect.deployments import pools
from cwl_prefect.deployments.pools import Existing, PoolType, create_pool
from cwl_prefect.errors import UsageError
from cwl_prefect.flows.execution.work_pool import default_template
from cwl_prefect.settings import Settings
from tests.unit.deployments.connecting import connected_to


class Server:
    """Keeps the type of a pool that is overwritten, as Prefect does."""

    def __init__(self) -> None:
        self.pools: dict[str, SimpleNamespace] = {}

    async def create_work_pool(self, pool: WorkPoolCreate, *, overwrite: bool = False) -> None:
        present = self.pools.get(pool.name)
        if present is not None and not overwrite:
            raise ObjectAlreadyExists(ValueError("it is there"))
        pool_type = pool.type if present is None else present.type
        self.pools[pool.name] = SimpleNamespace(
            name=pool.name, type=pool_type, base_job_template=pool.base_job_template
        )

    async def read_work_pool(self, name: str) -> SimpleNamespace:
        return self.pools[name]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    made.pools["here"] = SimpleNamespace(name="here", type="process", base_job_template={"its": "own"})

    monkeypatch.setattr(pools, "connected", connected_to(made))
    return made


async def test_a_pool_is_made(server: Server) -> None:
    made = await create_pool("there", PoolType.DOCKER, Settings(), existing=Existing.UPDATE)
    assert (made.kept, made.replaced, made.defaults) == (False, False, ())
    assert server.pools["there"].type == "docker"


async def test_a_pool_of_the_same_type_is_overwritten_kept_or_refused(server: Server) -> None:
    with pytest.raises(UsageError, match="--update"):
        await create_pool("here", PoolType.PROCESS, Settings())
    assert (await create_pool("here", PoolType.PROCESS, Settings(), existing=Existing.KEEP)).kept
    assert server.pools["here"].base_job_template == {"its": "own"}

    assert not (await create_pool("here", PoolType.PROCESS, Settings(), existing=Existing.OVERWRITE)).kept
    assert server.pools["here"].base_job_template != {"its": "own"}


@pytest.mark.parametrize("existing", list(Existing))
async def test_a_pool_of_another_type_stays_as_it_is(server: Server, existing: Existing) -> None:
    with pytest.raises(UsageError, match="of type process") as told:
        await create_pool("here", PoolType.KUBERNETES, Settings(), existing=existing)

    assert "prefect work-pool delete here" in str(told.value)
    assert "--update" not in str(told.value)
    assert server.pools["here"].base_job_template == {"its": "own"}


async def test_a_pool_that_a_worker_made_gets_the_packaged_template_and_keeps_what_was_changed_in_it(
    server: Server,
) -> None:
    plain = default_template("kubernetes")
    plain["variables"]["properties"]["image"]["default"] = "ours:1"
    server.pools["there"] = SimpleNamespace(name="there", type="kubernetes", base_job_template=plain)

    made = await create_pool("there", PoolType.KUBERNETES, Settings(), existing=Existing.UPDATE)

    wanted = packaged_template("kubernetes")
    wanted["variables"]["properties"]["image"]["default"] = "ours:1"  # type: ignore[index,call-overload]
    assert server.pools["there"].base_job_template == wanted
    assert (made.kept, made.replaced, made.defaults) == (False, True, ("image",))


@pytest.mark.parametrize("name", ["x/y", "100%", "a&b", "<a", "a>", "", " "])
async def test_a_name_that_prefect_forbids_is_refused(server: Server, name: str) -> None:
    with pytest.raises(UsageError, match="work pool"):
        await create_pool(name, PoolType.PROCESS, Settings())
    assert list(server.pools) == ["here"]
