"""What goes wrong on a cluster: each fault ends as what it is, or is waited out."""

import asyncio
import io
import os
import tarfile
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import JsonValue

from cwl_prefect.backends.base import execute
from cwl_prefect.backends.job_template.job_variables import JobVariables, Layer, Origin
from cwl_prefect.backends.kubernetes import patience
from cwl_prefect.backends.kubernetes.api.client import KubernetesApi
from cwl_prefect.backends.kubernetes.backend import KubernetesBackend
from cwl_prefect.backends.kubernetes.launcher import NOT_SHARED
from cwl_prefect.backends.naming import FLOW_RUN_LABEL
from cwl_prefect.flows.lifecycle.reaping import reap_abandoned
from cwl_prefect.model.job import ContainerJob, DockerImage, JobOutcome, Reason, Resources
from cwl_prefect.settings import Settings
from tests.contract.backend_contract import BackendCase, JobMaker
from tests.kubernetes.cluster import BEGUN_S, SMALL, VARIABLES, with_template, wrote
from tests.kubernetes.proxy import Door, through
from tests.waiting import eventually

pytestmark = pytest.mark.kubernetes


def variables(**given: JsonValue) -> JobVariables:
    return replace(VARIABLES, layers=(Layer(origin=Origin.RUN, variables=given),))


@pytest.fixture
async def namespace(api: KubernetesApi) -> AsyncIterator[str]:
    """A namespace of the test's own."""
    name = f"cwl-prefect-test-{uuid.uuid4().hex[:8]}"
    await api.request("POST", "/api/v1/namespaces", body={"metadata": {"name": name}})
    yield name
    await api.request("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
async def door(cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    """The only way to the API server, for what connects from now on."""
    kubeconfig = Path(os.environ.get("KUBECONFIG", Path.home() / ".kube" / "config"))
    copy = tmp_path / "kubeconfig"
    host, port = through(kubeconfig, copy, 0)
    door = Door(host, port)
    await door.open()
    through(kubeconfig, copy, door.port)
    from kubernetes_asyncio.config import kube_config

    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(copy))  # read from KUBECONFIG at its import
    yield door
    assert door.passed > 0
    await door.shut()


class TestFaults(BackendCase):
    async def run(self, backend: KubernetesBackend, job: ContainerJob, **changed: object) -> JobOutcome:
        return await execute(backend, replace(job, **({"resources": SMALL} | changed)))

    async def test_a_tool_that_needs_more_memory_than_it_asked_for(
        self, backend: KubernetesBackend, make_job: JobMaker
    ) -> None:
        job = make_job(("tail", "/dev/zero"))
        outcome = await self.run(backend, job)
        assert (outcome.reason, outcome.exit_code) == (Reason.OUT_OF_MEMORY, 137)

    async def test_jobs_of_a_driver_that_died_are_swept(
        self, backend: KubernetesBackend, make_job: JobMaker, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run_id = str(uuid.uuid4())
        job = replace(make_job(("sleep", "60")), resources=SMALL, labels={"flow-run-id": run_id})
        handle = await backend.start(job)
        monkeypatch.setattr("cwl_prefect.flows.lifecycle.reaping.is_abandoned", lambda _, found: False)
        assert await reap_abandoned(settings) == 0
        monkeypatch.setattr("cwl_prefect.flows.lifecycle.reaping.is_abandoned", lambda _, found: found == run_id)
        assert await reap_abandoned(settings) == 1
        assert (await backend.wait(handle)).reason is Reason.LOST

    async def test_a_time_limit_holds_where_there_is_no_driver(
        self, other_backend: Callable[..., KubernetesBackend], make_job: JobMaker, api: KubernetesApi
    ) -> None:
        backend = other_backend(kubernetes_start_timeout_s=1)
        handle = await backend.start(replace(make_job(("sleep", "60")), resources=SMALL, timeout_s=2))

        async def ended() -> bool:
            pods, _ = await api.pods("default", f"job-name={handle.reference}")
            return any(pod["status"].get("reason") == "DeadlineExceeded" for pod in pods)

        async with asyncio.timeout(BEGUN_S):
            while not await ended():
                await asyncio.sleep(0.5)
        assert (await backend.wait(handle)).reason is Reason.TIMED_OUT

    async def test_a_volume_that_nobody_has(
        self, other_backend: Callable[..., KubernetesBackend], make_job: JobMaker
    ) -> None:
        def mounting(spec: dict) -> None:
            pod = spec["template"]["spec"]
            pod["volumes"] = [*pod.get("volumes", []), {"name": "keys", "secret": {"secretName": "no-such-secret"}}]
            mount = {"name": "keys", "mountPath": "/keys"}
            pod["containers"][0].setdefault("volumeMounts", []).append(mount)

        backend = other_backend(with_template(mounting), kubernetes_start_timeout_s=4)
        outcome = await self.run(backend, make_job(("true",)))
        assert outcome.reason is Reason.NO_CONTAINER
        assert "FailedMount" in str(outcome.message)
        assert "no-such-secret" in str(outcome.message)

    async def test_an_image_that_nobody_has(self, backend: KubernetesBackend, make_job: JobMaker) -> None:
        image = DockerImage(pull="127.0.0.1:1/no-such-image:1")
        outcome = await self.run(backend, make_job(("true",)), image=image)
        assert outcome.reason is Reason.NO_IMAGE
        assert "127.0.0.1:1/no-such-image:1" in str(outcome.message)

    @pytest.mark.parametrize("seen_before", [False, True], ids=["never shared", "once shared"])
    async def test_a_directory_that_is_not_the_volume_of_the_pods(
        self,
        other_backend: Callable[..., KubernetesBackend],
        backend: KubernetesBackend,
        make_job: JobMaker,
        volume: Path,
        tmp_path: Path,
        seen_before: bool,
    ) -> None:
        if seen_before:  # so that the launcher is there
            assert (await self.run(backend, make_job(("true",)))).exit_code == 0
        other = tmp_path / "elsewhere"
        other.mkdir()
        elsewhere = other_backend(kubernetes_volume=f"hostPath:{other}", kubernetes_volume_path=volume)
        outcome = await self.run(elsewhere, make_job(("true",)))
        assert outcome.reason is Reason.START_FAILED
        assert str(outcome.message).startswith(NOT_SHARED)
        assert "doctor" in str(outcome.hint)

    async def test_a_container_that_cannot_be_made(
        self, other_backend: Callable[..., KubernetesBackend], make_job: JobMaker
    ) -> None:
        def change(spec: dict) -> None:
            container = spec["template"]["spec"]["containers"][0]
            container["env"] = [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "no-such-secret", "key": "k"}}}]

        outcome = await self.run(other_backend(with_template(change)), make_job(("true",)))
        assert outcome.reason is Reason.NO_CONTAINER
        assert "no-such-secret" in str(outcome.message)

    async def test_a_request_that_no_node_can_meet(
        self, other_backend: Callable[..., KubernetesBackend], make_job: JobMaker
    ) -> None:
        backend = other_backend(kubernetes_start_timeout_s=2)
        outcome = await self.run(backend, make_job(("true",)), resources=Resources(cores=10_000, ram_mib=1))
        assert outcome.reason is Reason.UNSCHEDULABLE
        assert "Insufficient cpu" in str(outcome.message)

    async def test_a_tool_that_fills_the_node_s_disk_is_evicted(
        self, backend: KubernetesBackend, make_job: JobMaker
    ) -> None:
        job = make_job(("sh", "-c", "head -c 30000000 /dev/zero > /tmp/big; sleep 120"), env={"TMPDIR": "/tmp"})
        outcome = await self.run(backend, job)
        assert outcome.reason is Reason.EVICTED
        assert "limit" in str(outcome.message)

    async def test_a_job_that_passes_its_deadline_without_a_driver(
        self, other_backend: Callable[..., KubernetesBackend], make_job: JobMaker
    ) -> None:
        def change(spec: dict) -> None:
            spec["activeDeadlineSeconds"] = 3

        outcome = await self.run(other_backend(with_template(change)), make_job(("sleep", "120")))
        assert (outcome.reason, outcome.exit_code) == (Reason.TIMED_OUT, None)

    async def test_a_pod_that_somebody_deletes(
        self, backend: KubernetesBackend, api: KubernetesApi, make_job: JobMaker
    ) -> None:
        job = make_job(("sh", "-c", "echo started; sleep 120"))  # lives until the end of its grace
        running = asyncio.create_task(self.run(backend, job))
        await wrote(job, b"started\n", running)
        pods, _ = await api.pods("default", f"{FLOW_RUN_LABEL}={job.labels['flow-run-id']}")
        await api.delete_pod("default", str(pods[0]["metadata"]["name"]))  # type: ignore[index,call-overload]
        assert (await running).reason is Reason.LOST

    async def test_a_quota_of_five_pods_with_thirty_wanted(
        self,
        other_backend: Callable[..., KubernetesBackend],
        api: KubernetesApi,
        namespace: str,
        make_job: JobMaker,
    ) -> None:
        quota: dict[str, JsonValue] = {"metadata": {"name": "few"}, "spec": {"hard": {"pods": "5"}}}
        await api.request("POST", f"/api/v1/namespaces/{namespace}/resourcequotas", body=quota)
        backend = other_backend(variables(namespace=namespace))
        jobs = [make_job(("echo", "x"), suffix=f"-{number}") for number in range(30)]
        outcomes = await asyncio.gather(*(self.run(backend, job) for job in jobs))
        assert {outcome.exit_code for outcome in outcomes} == {0}
        assert {job.stdout.read_bytes() for job in jobs} == {b"x\n"}

    async def test_a_quota_without_any_job_is_told_and_does_not_keep_the_run_for_ever(
        self,
        other_backend: Callable[..., KubernetesBackend],
        api: KubernetesApi,
        namespace: str,
        make_job: JobMaker,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(patience, "_TOLD_S", 0.0)
        quota: dict[str, JsonValue] = {"metadata": {"name": "none"}, "spec": {"hard": {"count/jobs.batch": "0"}}}
        await api.request("POST", f"/api/v1/namespaces/{namespace}/resourcequotas", body=quota)
        backend = other_backend(variables(namespace=namespace), kubernetes_start_timeout_s=2)
        outcome = await self.run(backend, make_job(("true",)))
        assert outcome.reason is Reason.QUOTA
        assert str(outcome.message).startswith("exceeded quota: none, requested: count/jobs.batch=1,")
        assert [f"--namespace {namespace}" in message for message in caplog.messages] == [True]

    async def test_a_call_that_waits_for_quota_can_be_cancelled(
        self,
        other_backend: Callable[..., KubernetesBackend],
        api: KubernetesApi,
        namespace: str,
        make_job: JobMaker,
    ) -> None:
        quota: dict[str, JsonValue] = {"metadata": {"name": "none"}, "spec": {"hard": {"count/jobs.batch": "0"}}}
        await api.request("POST", f"/api/v1/namespaces/{namespace}/resourcequotas", body=quota)
        waiting = asyncio.create_task(self.run(other_backend(variables(namespace=namespace)), make_job(("true",))))
        await asyncio.sleep(3)
        assert not waiting.done()
        waiting.cancel()
        async with asyncio.timeout(10):
            with pytest.raises(asyncio.CancelledError):
                await waiting

    async def test_the_api_server_is_away_for_twenty_seconds(
        self, door: Door, other_backend: Callable[..., KubernetesBackend], make_job: JobMaker
    ) -> None:
        backend = other_backend()
        jobs = [make_job(("sh", "-c", "echo started; sleep 8; echo ended"), suffix=f"-{n}") for n in range(5)]
        running = asyncio.gather(*(self.run(backend, job) for job in jobs[:4]))
        await eventually(lambda: all(job.stdout.exists() and job.stdout.read_bytes() for job in jobs[:4]), BEGUN_S)
        await door.shut()
        late = asyncio.create_task(self.run(backend, jobs[4]))  # created as soon as that is possible
        await asyncio.sleep(20)
        assert not late.done()
        await door.open()
        outcomes = [*await running, await late]
        assert {outcome.exit_code for outcome in outcomes} == {0}
        assert {job.stdout.read_bytes() for job in jobs} == {b"started\nended\n"}

    async def test_a_watch_that_is_cut(
        self, door: Door, other_backend: Callable[..., KubernetesBackend], make_job: JobMaker
    ) -> None:
        job = make_job(("sh", "-c", "echo started; sleep 2"))
        running = asyncio.create_task(self.run(other_backend(), job))
        await wrote(job, b"started\n", running)
        door.cut()
        async with asyncio.timeout(15):
            assert (await running).exit_code == 0

    async def test_an_image_without_a_shell_with_an_entry_point(
        self, docker_engine: None, backend: KubernetesBackend, make_job: JobMaker
    ) -> None:
        job = make_job(("hello", "there"))
        outcome = await self.run(backend, job, image=DockerImage(pull=await asyncio.to_thread(shell_less_image)))
        assert (outcome.exit_code, job.stdout.read_bytes()) == (0, b"hello there\n")


def shell_less_image() -> str:
    """Make an image that holds one program, which is its entry point: busybox under the name of echo."""
    import docker

    client = docker.from_env()
    try:
        program = client.containers.create("busybox:1.35")
        try:
            stream, _ = program.get_archive("/bin/busybox")
            content = b"".join(stream)
        finally:
            program.remove()
        with tarfile.open(fileobj=io.BytesIO(content)) as found:
            member = found.extractfile("busybox")
            assert member is not None
            binary = member.read()
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as made:
            entry = tarfile.TarInfo("echo")
            entry.size, entry.mode = len(binary), 0o755
            made.addfile(entry, io.BytesIO(binary))
        client.api.import_image_from_data(
            archive.getvalue(), repository="cwl-prefect-test/shell-less", tag="1", changes=['ENTRYPOINT ["/echo"]']
        )
    finally:
        client.close()
    return "cwl-prefect-test/shell-less:1"
