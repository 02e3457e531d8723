"""The shared contract on a real cluster."""

import asyncio
import time
from pathlib import Path

import pytest

from cwl_prefect.backends.base import Backend, finish
from cwl_prefect.backends.kubernetes import KubernetesBackend
from cwl_prefect.backends.kubernetes_client import KubernetesApi
from cwl_prefect.backends.kubernetes_objects import job_name
from cwl_prefect.model.job import ContainerJob
from tests.contract.backend_contract import ECHO_STDIN, AdoptionContract, JobMaker

pytestmark = pytest.mark.kubernetes


class TestKubernetesContract(AdoptionContract):
    @pytest.fixture(autouse=True)
    def _look(self, api: KubernetesApi, following: KubernetesBackend) -> None:
        self.api, self.following = api, following

    async def successor(self, backend: Backend) -> Backend:
        assert isinstance(backend, KubernetesBackend)
        for watch in backend._watches.values():
            await watch.close()
        backend._running.clear()
        return self.following

    async def assert_nothing_left(self, job: ContainerJob) -> None:
        name = job_name(job.job_id)
        deadline = time.monotonic() + 10
        while True:
            pods, _ = await self.api.pods("default", f"job-name={name}")
            found = await self.api.job("default", name)
            if not pods and found is None:
                return
            assert time.monotonic() < deadline, "the Job or its pod is still there"
            await asyncio.sleep(0.1)

    async def test_a_job_whose_stdin_ended_with_its_driver_is_not_adopted(
        self, backend: Backend, make_job: JobMaker, workspace: Path
    ) -> None:
        """Here stdin is a file on the shared volume, which needs no driver: the job is adopted."""
        job = self.reading(ECHO_STDIN, make_job, workspace)
        await backend.start(job)
        following = await self.successor(backend)
        handle = await following.adopt(job)
        assert handle is not None
        assert (await finish(following, handle)).exit_code == 0
        assert job.stdout.read_bytes() == b"text"
