"""The deployment that collects workspaces: one for each pool, with what the pool's flow runs need."""

from types import SimpleNamespace
from typing import Any

import pytest

from cwl_prefect.backends.job_template.job_variables import packaged_template
from cwl_prefect.deployments import housekeeping
from cwl_prefect.deployments.housekeeping import deploy_collection
from cwl_prefect.errors import UsageError
from cwl_prefect.settings import Settings
from tests.unit.deployments.connecting import connected_to

CRON = "17 3 * * *"


class Server:
    """Has a process pool and a Kubernetes pool, and deployments of one flow by name."""

    def __init__(self) -> None:
        self.deployments: dict[str, Any] = {}

    async def read_work_pool(self, name: str) -> Any:
        pool_type = {"here": "process", "cluster": "kubernetes"}[name]
        return SimpleNamespace(name=name, type=pool_type, base_job_template=packaged_template(pool_type))

    async def create_flow_from_name(self, name: str) -> str:
        return name

    async def create_deployment(self, *, name: str, **said: object) -> None:
        self.deployments[name] = SimpleNamespace(id=name, name=name, **said)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()

    monkeypatch.setattr(housekeeping, "connected", connected_to(made))
    return made


async def test_each_pool_has_one_of_its_name(server: Server) -> None:
    variables = {"image": "cwl-prefect", "namespace": "lab"}
    await deploy_collection("here", CRON, Settings(), {})
    name, _ = await deploy_collection("cluster", CRON, Settings(), variables)
    assert name == "cwl-prefect-workspace-gc/cluster"
    assert {name: each.work_pool_name for name, each in server.deployments.items()} == {
        "here": "here",
        "cluster": "cluster",
    }
    assert server.deployments["cluster"].job_variables == variables


async def test_what_may_stay_in_the_call_cache_is_a_parameter_of_its_runs(server: Server) -> None:
    await deploy_collection("here", CRON, Settings(), {}, unused_for_s=60.0, most_bytes=1024)
    assert server.deployments["here"].parameters == {"unused_for_s": 60.0, "most_bytes": 1024}


@pytest.mark.parametrize(
    ("pool", "variables", "said"),
    [
        pytest.param("cluster", {}, "needs an image", id="no-image"),
        pytest.param("here", {"image": "x"}, "have no image", id="image-of-a-process"),
        pytest.param("cluster", {"image": "x", "name_space": "lab"}, "name_space", id="unknown-variable"),
    ],
)
async def test_what_no_worker_of_the_pool_could_run_is_refused(
    server: Server, pool: str, variables: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        await deploy_collection(pool, CRON, Settings(), variables)
    assert server.deployments == {}
