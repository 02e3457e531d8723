"""What a tool sees of a flow run's environment that the template takes from a secret, and what its pod may do."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from uuid import uuid4

import pytest

from cwl_prefect.backends.base import execute
from cwl_prefect.backends.kubernetes.api.client import KubernetesApi
from cwl_prefect.backends.kubernetes.backend import KubernetesBackend
from cwl_prefect.backends.kubernetes.manifest.defaults import kubernetes_defaults
from tests.contract.backend_contract import ENVIRONMENT, BackendCase, JobMaker
from tests.kubernetes.cluster import SMALL, VARIABLES, with_template

pytestmark = pytest.mark.kubernetes


@pytest.fixture
async def secret(api: KubernetesApi) -> AsyncIterator[str]:
    """Name of a secret as flow runs are given one."""
    namespace = (await kubernetes_defaults(VARIABLES.for_step(""))).namespace
    name, place = f"cwl-prefect-test-{uuid4().hex[:8]}", f"/api/v1/namespaces/{namespace}/secrets"
    values = {"PREFECT_API_KEY": "pnu_1", "CWL_PREFECT_HOME": "/home", "prefect_api_url": "u", "SITE": "north"}
    await api.request("POST", place, body={"metadata": {"name": name}, "stringData": values})
    yield name
    await api.request("DELETE", f"{place}/{name}")


class TestEnvironment(BackendCase):
    @pytest.fixture
    def backend(self, secret: str, other_backend: Callable[..., KubernetesBackend]) -> KubernetesBackend:
        def take_from_secret(spec: dict) -> None:
            """Give flow runs all that the secret holds."""
            spec["template"]["spec"]["containers"][0]["envFrom"] = [{"secretRef": {"name": secret}}]

        return other_backend(with_template(take_from_secret))

    async def test_no_variable_of_the_flow_run_comes_to_a_tool_by_a_secret(
        self, backend: KubernetesBackend, make_job: JobMaker
    ) -> None:
        job = replace(make_job(ENVIRONMENT, env={"PREFECT_RESULTS": "of the document"}), resources=SMALL)
        assert (await execute(backend, job)).exit_code == 0
        seen = job.stdout.read_text()
        assert "SITE=north\n" in seen
        assert [line for line in seen.splitlines() if "PREFECT" in line.upper()] == ["PREFECT_RESULTS=of the document"]


class TestRights(BackendCase):
    async def shown(self, backend: KubernetesBackend, make_job: JobMaker) -> dict[str, str]:
        job = replace(make_job(("cat", "/proc/self/status")), resources=SMALL)
        assert (await execute(backend, job)).exit_code == 0
        lines = (line.partition(":") for line in job.stdout.read_text().splitlines())
        return {name: value.strip() for name, _, value in lines}

    async def test_a_pod_has_no_capabilities_and_gains_none(
        self, backend: KubernetesBackend, make_job: JobMaker
    ) -> None:
        status = await self.shown(backend, make_job)
        assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapBnd")} == {0}
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")

    async def test_a_template_may_leave_a_pod_a_capability(
        self, other_backend: Callable[..., KubernetesBackend], make_job: JobMaker
    ) -> None:
        def let_change_owners(spec: dict) -> None:
            """Leave root the right to change owners."""
            security = {"capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}}
            spec["template"]["spec"]["containers"][0]["securityContext"] = security

        status = await self.shown(other_backend(with_template(let_change_owners)), make_job)
        assert int(status["CapBnd"], 16) == 1
        assert status["NoNewPrivs"] == "1"
