import copy
from contextlib import asynccontextmanager
from types import SimpleNamespace
from uuid import uuid4

import httpx
import pytest
from prefect.exceptions import ObjectNotFound

from cwl_prefect.backends.job_template.job_variables import packaged_template
from cwl_prefect.errors import BackendError, ServerError, UsageError
from cwl_prefect.flows.lifecycle import named_cluster as module
from cwl_prefect.flows.lifecycle.named_cluster import named_cluster
from cwl_prefect.settings import BackendName, Settings


def kubeconfig(name: str) -> dict:
    return {"config": {"current-context": name}, "context_name": name}


class Client:
    """Stands for Prefect's client: the pool `far`, whose template names a cluster, and perhaps a flow run."""

    def __init__(
        self, *, job_variables: dict | None = None, error: Exception | None = None, names: str | None = "of-the-pool"
    ) -> None:
        self._job_variables, self._error, self._names = job_variables, error, names

    async def read_flow_run(self, run_id):
        if self._error is not None:
            raise self._error
        if self._job_variables is None:
            raise ObjectNotFound(LookupError())
        return SimpleNamespace(deployment_id=None, job_variables=self._job_variables, work_pool_name=None)

    async def read_work_pool(self, name):
        if name != "far":
            raise ObjectNotFound(LookupError())
        template = copy.deepcopy(dict(packaged_template("kubernetes")))
        if self._names is not None:
            template["variables"]["properties"]["cluster_config"]["default"] = kubeconfig(self._names)
        return SimpleNamespace(type="kubernetes", base_job_template=template)


@pytest.fixture
def ask(monkeypatch, tmp_path):
    """Ask for the cluster of a run."""

    async def ask(client: Client, pool: str = "far", **settings):
        @asynccontextmanager
        async def get_client():
            yield client

        monkeypatch.setattr(module, "get_client", get_client)
        monkeypatch.setattr(module, "PREFECT_API_URL", SimpleNamespace(value=lambda: "http://prefect/api"))
        return await named_cluster(str(uuid4()), pool, Settings(home=tmp_path, **settings))

    return ask


async def test_the_cluster_is_that_of_the_pool_however_this_process_is_set(ask):
    found = await ask(Client(job_variables={}), backend=BackendName.LOCAL, steps_pool="another")
    assert (found.context_name, found.config) == ("of-the-pool", {"current-context": "of-the-pool"})


async def test_a_job_variable_of_the_run_names_another(ask):
    assert (await ask(Client(job_variables={"cluster_config": kubeconfig("mine")}))).context_name == "mine"


async def test_a_run_that_prefect_has_forgotten_was_on_the_cluster_of_its_pool(ask):
    assert (await ask(Client())).context_name == "of-the-pool"


async def test_a_pool_that_is_gone_is_named(ask):
    with pytest.raises(UsageError, match="no work pool elsewhere"):
        await ask(Client(), "elsewhere")


async def test_a_pool_that_names_no_cluster_any_more_leaves_the_jobs_to_be_removed_by_hand(ask):
    with pytest.raises(
        BackendError, match=r"far names no cluster any more\n.*kubectl delete jobs -l cwl-prefect.io/flow"
    ):
        await ask(Client(job_variables={}, names=None))


async def test_an_api_that_is_away_is_an_error_of_ours(ask):
    with pytest.raises(ServerError, match="does not tell the cluster of the work pool far: ConnectError"):
        await ask(Client(error=httpx.ConnectError("refused")))
