"""What holds for every Job of a run, from what a driver that is itself a pod learns about itself."""

from pathlib import Path
from typing import Any

import pytest

from cwl_prefect.backends.job_template.job_variables import JobVariables, packaged_template
from cwl_prefect.backends.kubernetes import cluster as kubernetes_cluster
from cwl_prefect.backends.kubernetes.cluster import open_cluster
from cwl_prefect.backends.kubernetes.manifest.defaults import without_volumes
from cwl_prefect.settings import Settings

VARIABLES = JobVariables(template=without_volumes(packaged_template("kubernetes")))


def flow_pod(name: str, phase: str = "Running") -> dict[str, Any]:
    job = {"apiVersion": "batch/v1", "kind": "Job", "name": f"job-of-{name}", "uid": "u1", "controller": True}
    return {"metadata": {"name": name, "namespace": "default", "ownerReferences": [job]}, "status": {"phase": phase}}


class Api:
    """Has pods, some of them with the label of the flow run."""

    def __init__(
        self, *labelled: dict[str, Any], named: dict[str, Any] | None = None, version: tuple[int, int] = (1, 20)
    ) -> None:
        self._labelled, self._named, self._version = labelled, named, version

    async def version(self) -> tuple[int, int]:
        return self._version

    async def pod(self, namespace: str, name: str) -> dict[str, Any] | None:
        assert (namespace, name) == ("default", "this-host")
        return self._named

    async def pods(self, namespace: str, selector: str) -> tuple[list[dict[str, Any]], str]:
        assert (namespace, selector) == ("default", "prefect.io/flow-run-id=r1")
        return list(self._labelled), "1"


def connected(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(_: object) -> Api:
        return api

    monkeypatch.setattr(kubernetes_cluster, "connect", connect)


@pytest.mark.parametrize(("version", "known"), [((1, 20), False), ((1, 28), False), ((1, 29), True), ((2, 0), True)])
async def test_what_a_server_knows_of_jobs_follows_from_its_version(
    version: tuple[int, int], known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected(Api(version=version), monkeypatch)
    cluster = await open_cluster(Settings(home=tmp_path, kubernetes_volume=f"hostPath:{tmp_path}"), VARIABLES)
    assert (cluster.options.replacement_policy, cluster.options.native_sidecars) == (known, known)


@pytest.mark.parametrize(
    ("api", "flow_run", "owner"),
    [
        pytest.param(Api(named=flow_pod("a")), None, "job-of-a", id="by the name of its host"),
        pytest.param(Api(flow_pod("b")), "r1", "job-of-b", id="by its label"),
        pytest.param(Api(flow_pod("b", "Failed"), flow_pod("c")), "r1", "job-of-c", id="after an eviction"),
        pytest.param(Api(flow_pod("b"), flow_pod("c")), "r1", None, id="unclear"),
        pytest.param(Api(flow_pod("b")), None, None, id="not started by a worker"),
    ],
)
async def test_steps_belong_to_the_job_of_their_driver(
    api: Api, flow_run: str | None, owner: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected(api, monkeypatch)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("HOSTNAME", "this-host")
    monkeypatch.setenv("POD_NAMESPACE", "default")
    monkeypatch.delenv("POD_NAME", raising=False)
    monkeypatch.delenv("PREFECT__FLOW_RUN_ID", raising=False)
    if flow_run is not None:
        monkeypatch.setenv("PREFECT__FLOW_RUN_ID", flow_run)
    settings = Settings(home=tmp_path, kubernetes_volume=f"hostPath:{tmp_path}")
    cluster = await open_cluster(settings, VARIABLES)
    assert (cluster.owner or {}).get("name") == owner
