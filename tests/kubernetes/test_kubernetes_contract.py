"""The shared contract on a real cluster."""

import asyncio
import time
from pathlib import Path

import pytest

from cwl_prefect.backends.base import Backend, finish
from cwl_prefect.backends.kubernetes.api.client import KubernetesApi
from cwl_prefect.backends.kubernetes.backend import KubernetesBackend
from cwl_prefect.backends.kubernetes.jobs import pods_of
from cwl_prefect.backends.kubernetes.objects import KubernetesObject, end_of, job_name, text
from cwl_prefect.model.job import ContainerJob
from tests.contract.backend_contract import ECHO_STDIN, TWO_STREAMS, AdoptionContract, JobMaker
from tests.waiting import eventually

pytestmark = pytest.mark.kubernetes

IDLE_JOB: KubernetesObject = {
    "metadata": {"generateName": "flow-run-"},
    "spec": {
        "parallelism": 0,
        "template": {
            "spec": {"restartPolicy": "Never", "containers": [{"name": "flow-run", "image": "busybox:1.35"}]},
        },
    },
}


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

    async def test_an_ended_job_whose_pod_is_gone_is_not_adopted(self, backend: Backend, make_job: JobMaker) -> None:
        job = make_job(TWO_STREAMS)
        handle = await backend.start(job)
        await backend.wait(handle)
        async with asyncio.timeout(30):
            while end_of(await self.api.job("default", handle.reference) or {}) is None:
                await asyncio.sleep(0.1)
        (pod,) = await pods_of(self.api, "default", handle.reference)
        await self.api.delete_pod("default", text(pod, "metadata", "name"), at_once=True)
        following = await self.successor(backend)
        assert await following.adopt(job) is None
        await self.assert_nothing_left(job)

    async def test_an_adopted_job_outlives_the_job_of_the_flow_run_that_began_it(
        self, backend: Backend, make_job: JobMaker
    ) -> None:
        job = make_job(("sh", "-c", "echo begun; sleep 12; printf ended"))
        handle = await backend.start(job)
        owner = await self.api.create_job("default", IDLE_JOB)
        reference = {"apiVersion": "batch/v1", "kind": "Job"} | {
            name: text(owner, "metadata", name) for name in ("name", "uid")
        }
        assert await self.api.give_job("default", handle.reference, [reference])
        await eventually(lambda: job.stdout.exists() and job.stdout.read_bytes() == b"begun\n")
        following = await self.successor(backend)
        adopted = await following.adopt(job)
        assert await self.api.delete_job("default", reference["name"])
        assert adopted is not None
        assert (await finish(following, adopted)).exit_code == 0
        assert job.stdout.read_bytes() == b"begun\nended"
