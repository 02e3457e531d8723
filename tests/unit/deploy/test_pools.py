"""Making work pools, also where one of the name is there; the server is a dictionary."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists

from cwl_prefect.deploy import pools
from cwl_prefect.deploy.connection import Connection
from cwl_prefect.deploy.pools import PoolType, create_pool
from cwl_prefect.errors import UsageError
from cwl_prefect.server.local_server import ApiEndpoint
from cwl_prefect.settings import Settings


class Server:
    """Keeps the type of a pool that is overwritten, as Prefect does."""

    def __init__(self) -> None:
        self.pools: dict[str, SimpleNamespace] = {}

    async def create_work_pool(self, pool: WorkPoolCreate, *, overwrite: bool = False) -> None:
        present = self.pools.get(pool.name)
        if present is not None and not overwrite:
            raise ObjectAlreadyExists(ValueError("it is there"))
        pool_type = pool.type if present is None else present.type
        self.pools[pool.name] = SimpleNamespace(name=pool.name, type=pool_type, template=pool.base_job_template)

    async def read_work_pool(self, name: str) -> SimpleNamespace:
        return self.pools[name]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    made.pools["here"] = SimpleNamespace(name="here", type="process", template="its own")

    @asynccontextmanager
    async def connected(_: Settings) -> AsyncIterator[Connection]:
        yield Connection(client=made, endpoint=ApiEndpoint(url="x", ui_url=None, started=False, ours=False))  # type: ignore[arg-type]

    monkeypatch.setattr(pools, "connected", connected)
    return made


async def test_a_pool_is_made(server: Server) -> None:
    assert not (await create_pool("there", PoolType.DOCKER, Settings())).kept
    assert server.pools["there"].type == "docker"


async def test_a_pool_of_the_same_type_is_overwritten_kept_or_refused(server: Server) -> None:
    with pytest.raises(UsageError, match="--overwrite"):
        await create_pool("here", PoolType.PROCESS, Settings())
    assert (await create_pool("here", PoolType.PROCESS, Settings(), keep=True)).kept
    assert server.pools["here"].template == "its own"

    assert not (await create_pool("here", PoolType.PROCESS, Settings(), overwrite=True)).kept
    assert server.pools["here"].template != "its own"


@pytest.mark.parametrize("options", [{}, {"keep": True}, {"overwrite": True}], ids=["plain", "keep", "overwrite"])
async def test_a_pool_of_another_type_stays_as_it_is(server: Server, options: dict[str, bool]) -> None:
    with pytest.raises(UsageError, match="of type process") as told:
        await create_pool("here", PoolType.KUBERNETES, Settings(), **options)

    assert "prefect work-pool delete here" in str(told.value)
    assert "--overwrite" not in str(told.value)
    assert server.pools["here"].template == "its own"


@pytest.mark.parametrize("name", ["x/y", "100%", "a&b", "<a", "a>", "", " "])
async def test_a_name_that_prefect_forbids_is_refused(server: Server, name: str) -> None:
    with pytest.raises(UsageError, match="work pool"):
        await create_pool(name, PoolType.PROCESS, Settings())
    assert list(server.pools) == ["here"]
