"""The Docker backend on a real engine: the contract."""

from collections.abc import AsyncIterator

import docker
import pytest

from cwl_prefect.backends.docker.backend import DockerBackend
from cwl_prefect.backends.naming import JOB_LABEL
from cwl_prefect.model.job import ContainerJob
from tests.contract.backend_contract import AdoptionContract

pytestmark = pytest.mark.docker


class TestContract(AdoptionContract):
    @pytest.fixture
    async def backend(self, docker_engine: None) -> AsyncIterator[DockerBackend]:
        self.backends = [DockerBackend()]
        yield self.backends[0]
        for backend in self.backends:
            await backend.close()

    async def successor(self, backend: DockerBackend) -> DockerBackend:
        for running in backend._running.values():
            running.ended.cancel()
        self.backends.append(DockerBackend())
        return self.backends[-1]

    async def assert_nothing_left(self, job: ContainerJob) -> None:
        client = docker.from_env()
        assert client.containers.list(all=True, filters={"label": f"{JOB_LABEL}={job.job_id}"}) == []
        client.close()
