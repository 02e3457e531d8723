"""What of a flow run's environment a tool sees whose template takes it from a secret."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from uuid import uuid4

import pytest

from cwl_prefect.backends.base import execute
from cwl_prefect.backends.kubernetes import KubernetesBackend
from cwl_prefect.backends.kubernetes_client import KubernetesApi
from cwl_prefect.backends.kubernetes_manifest import kubernetes_defaults
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
