"""Steps of a real cluster whose files come from an object store and go there: no volume is shared."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from cwl_prefect.backends.base import execute, finish
from cwl_prefect.backends.kubernetes.api.client import KubernetesApi
from cwl_prefect.backends.kubernetes.backend import KubernetesBackend
from cwl_prefect.backends.kubernetes.jobs import reap
from cwl_prefect.backends.kubernetes.objects import KubernetesObject, part, parts
from cwl_prefect.backends.kubernetes.transfers.transfers import call_of
from cwl_prefect.backends.naming import FLOW_RUN_LABEL
from cwl_prefect.model.job import ContainerJob, Mount
from cwl_prefect.settings import Settings
from cwl_prefect.storage.credentials import Credentials, lending
from tests.contract.backend_contract import BackendCase, JobMaker
from tests.kubernetes.cluster import HELPER_IMAGE, VARIABLES
from tests.linking import READ, read_through_links
from tests.object_store import ObjectStore, fresh_store, own_address, running_store

pytestmark = pytest.mark.kubernetes

SECRETS = "/api/v1/namespaces/default/secrets"
LARGE = bytes(range(250)) * 400
TOOL = """
cat > large; ln -s large link; mkdir empty; printf small > small; printf err >&2
env | grep -c AWS
exit 3
"""


@pytest.fixture(scope="module")
def running() -> Iterator[ObjectStore]:
    with running_store(own_address()) as store:
        yield store


@pytest.fixture
def object_store(running: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    with fresh_store(running, monkeypatch) as store:
        yield store


@pytest.fixture
async def secret(api: KubernetesApi) -> AsyncIterator[str]:
    """A Secret with the credentials of the store."""
    name = f"cwl-prefect-test-{uuid4().hex[:8]}"
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    await api.request("POST", SECRETS, body={"metadata": {"name": name}, "stringData": keys})
    yield name
    await api.request("DELETE", f"{SECRETS}/{name}")


@pytest.fixture
def settings(tmp_path: Path, object_store: ObjectStore, secret: str) -> Settings:
    return Settings(
        home=tmp_path / "home",
        workdir=tmp_path,
        workspaces=object_store.url("ws"),
        workspaces_secret=secret,
        kubernetes_helper_image=HELPER_IMAGE,
    )


class TestObjectStore(BackendCase):
    @pytest.fixture
    def job(self, make_job: JobMaker, workspace: Path) -> ContainerJob:
        """A call that reads a large file, leaves things of every kind, and fails."""
        (workspace / "given").write_bytes(LARGE)
        job = make_job(("sh", "-c", TOOL), stdin=workspace / "given")
        return replace(job, mounts=(*job.mounts, Mount(source=workspace / "given", target="/in/given")))

    def assert_here(self, workspace: Path) -> None:
        out, logs = workspace / "out", workspace / "logs"
        assert sorted(path.name for path in out.iterdir()) == ["empty", "large", "link", "small"]
        assert ((out / "large").read_bytes(), (out / "small").read_text()) == (LARGE, "small")
        assert str((out / "link").readlink()) == "large"
        assert [(logs / name).read_text() for name in ("stdout", "stderr")] == ["0\n", "err"]

    async def test_a_call_finds_its_inputs_and_its_outputs_come_here(
        self, backend: KubernetesBackend, object_store: ObjectStore, job: ContainerJob, workspace: Path
    ) -> None:
        outcome = await execute(backend, job)

        assert outcome.exit_code == 3
        self.assert_here(workspace)
        kinds = [key.split("/")[1] for key in object_store.keys("ws")]
        assert kinds == ["blobs", "programs"]  # the input and its copy are one
        again = replace(job, job_id=f"{job.job_id}-again")
        assert (await execute(backend, again)).exit_code == 3  # without the container that brings the program

    async def test_the_next_driver_gets_what_a_call_left_that_ended_without_one(
        self,
        backend: KubernetesBackend,
        settings: Settings,
        object_store: ObjectStore,
        job: ContainerJob,
        workspace: Path,
    ) -> None:
        await backend.start(job)
        for watch in backend._watches.values():
            await watch.close()
        backend._running.clear()
        following = KubernetesBackend(settings, VARIABLES)

        handle = await following.adopt(replace(job, mounts=(), stdin=None))
        assert handle is not None
        assert (await finish(following, handle)).exit_code == 3
        self.assert_here(workspace)

        object_store.put(f"ws/calls/{call_of(job)}/inputs.json", b"[]")  # as of a call that nobody takes over
        assert await following.adopt(job) is None
        await following.close()
        assert object_store.keys("ws/calls") == []


async def test_links_of_a_pod_are_outputs(tmp_path: Path, settings: Settings, cluster: None) -> None:
    chosen = settings.model_dump(exclude_unset=True)
    assert await read_through_links(tmp_path, **chosen, backend="kubernetes") == READ


class TestStorageBlock(BackendCase):
    """Pods of a run that a storage block lends its credentials."""

    RUN = "a-run-with-a-block"

    @pytest.fixture
    def settings(self, tmp_path: Path, object_store: ObjectStore) -> Settings:
        return Settings(
            home=tmp_path / "home",
            workdir=tmp_path,
            workspaces=object_store.url("ws"),
            kubernetes_helper_image=HELPER_IMAGE,
        )

    @pytest.fixture(autouse=True)
    def block(self, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Let nothing but a block know the store and its credentials."""
        for name in object_store.environment:
            if name.startswith("AWS_") and "CONFIG" not in name and "SHARED" not in name:
                monkeypatch.delenv(name)
        options = {
            "key": "block-key",
            "secret": "block-sesame",
            "endpoint_url": object_store.endpoint,
            "client_kwargs": {"region_name": "us-east-1"},
        }
        with lending(Credentials(name="lab", url="s3://data", options=options)):
            yield

    @pytest.fixture
    def job(self, make_job: JobMaker) -> ContainerJob:
        job = make_job(("sh", "-c", "env | grep -c AWS"))
        return replace(job, labels={**job.labels, "flow-run-id": self.RUN})

    async def secrets(self, api: KubernetesApi) -> list[KubernetesObject]:
        found = await api.request("GET", SECRETS, query={"labelSelector": f"{FLOW_RUN_LABEL}={self.RUN}"})
        return parts(found, "items")

    async def test_only_what_carries_files_gets_them_and_nothing_stays(
        self, settings: Settings, api: KubernetesApi, job: ContainerJob, workspace: Path
    ) -> None:
        backend = KubernetesBackend(settings, VARIABLES)
        handle = await backend.start(job)
        (secret,) = await self.secrets(api)
        assert set(part(secret, "data")) == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
        made = await api.job("default", handle.reference)
        assert made is not None
        assert "sesame" not in str(made)
        assert "block-key" not in str(made)

        assert (await finish(backend, handle)).exit_code == 1
        assert (workspace / "logs" / "stdout").read_text() == "0\n"
        await backend.close()
        assert await self.secrets(api) == []

    async def test_a_reaper_removes_what_a_killed_driver_left(
        self, backend: KubernetesBackend, api: KubernetesApi, job: ContainerJob
    ) -> None:
        await backend.start(job)
        assert len(await self.secrets(api)) == 1
        assert await reap({FLOW_RUN_LABEL: self.RUN}, ["default"]) == 1
        assert await self.secrets(api) == []
