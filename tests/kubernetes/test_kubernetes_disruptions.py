"""Calls that lose their place: to something more urgent, to a node that falls silent, to somebody who deletes it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydantic import JsonValue

from cwl_prefect.backends.base import execute
from cwl_prefect.backends.kubernetes.api.client import KubernetesApi
from cwl_prefect.backends.kubernetes.backend import KubernetesBackend
from cwl_prefect.backends.kubernetes.objects import KubernetesObject, job_name, number, part, text
from cwl_prefect.backends.naming import FLOW_RUN_LABEL
from cwl_prefect.model.job import ContainerJob, Reason
from tests.commandline.driving import CommandLine
from tests.contract.backend_contract import BackendCase, JobMaker
from tests.kubernetes.cluster import BEGUN_S, HELPER_IMAGE, SMALL, with_template, wrote
from tests.waiting import eventually

pytestmark = pytest.mark.kubernetes

NODES = "/api/v1/nodes"
PODS = "/api/v1/namespaces/default/pods"
PRIORITIES = "/apis/scheduling.k8s.io/v1/priorityclasses"
MARK = "cwl-prefect-test"
UNTOLD = "its pod was deleted"  # all that is known where the cluster removes a pod before it says how it ended
KEEPS_PODS = (1, 26)  # the first version whose Jobs keep a pod until its end is told
TRIES = 3
SETTLED_S = 3.0  # a node that is to end what it has just begun may take a minute
ON_DEVICES = """
    cwlVersion: v1.2
    class: CommandLineTool
    $namespaces: {cwltool: "http://commonwl.org/cwltool#"}
    hints: {DockerRequirement: {dockerPull: "busybox:1.35"}}
    requirements:
      ResourceRequirement: {coresMin: 0.01, ramMin: 16, tmpdirMin: 1}
      cwltool:CUDARequirement: {cudaVersionMin: "11.0", cudaComputeCapability: "3.0", cudaDeviceCountMin: 1}
    inputs: []
    arguments:  # its first try stays until it is killed
    - sh
    - -c
    - echo devices $(runtime.cudaDeviceCount) >> log; case `hostname` in *-tool-1-*) sleep 120; esac
    outputs:
      log: {type: string, outputBinding: {glob: log, loadContents: true, outputEval: "$(self[0].contents)"}}
    """


@pytest.fixture
async def device(api: KubernetesApi) -> AsyncIterator[str]:
    """A device by a name of the test's own, of which one node has one."""
    nodes = await api.request("GET", NODES)
    node = text(next(each for each in nodes["items"] if not part(each, "spec").get("taints")), "metadata", "name")  # type: ignore[arg-type, union-attr]
    name = f"cwl-prefect.io/device-{uuid.uuid4().hex[:8]}"

    async def give(amount: str | None) -> None:
        stated: dict[str, JsonValue] = {"capacity": {name: amount}, "allocatable": {name: amount}}
        await api.request("PATCH", f"{NODES}/{node}/status", body={"status": stated})

    await give("1")
    yield name
    await give(None)


@pytest.fixture
async def take(api: KubernetesApi, device: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Starts a pod of a higher priority than any other, which needs the device for a moment."""
    name = f"{MARK}-{uuid.uuid4().hex[:8]}"
    container: dict[str, JsonValue] = {
        "name": "urgent",
        "image": HELPER_IMAGE,
        "command": ["sleep", "1"],
        "resources": {"limits": {device: "1"}},
    }
    spec: dict[str, JsonValue] = {
        "priorityClassName": name,
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
    }

    async def start() -> None:
        await api.request("POST", PODS, body={"metadata": {"name": name}, "spec": spec})

    await api.request("POST", PRIORITIES, body={"metadata": {"name": name}, "value": 1000})
    yield start
    await api.delete_pod("default", name, at_once=True)
    await api.request("DELETE", f"{PRIORITIES}/{name}")


@pytest.mark.server
async def test_a_call_that_makes_room_for_something_urgent_is_run_again(
    api: KubernetesApi, device: str, take: Callable[[], Awaitable[None]], command: CommandLine
) -> None:
    command.write("tool.cwl", ON_DEVICES)
    runs, given = command.directory / "runs", {"CWL_PREFECT_KUBERNETES_GPU": device}
    started = command.start("run", "--backend", "kubernetes", "tool.cwl", environment=given)
    await eventually(lambda: any(path.stat().st_size for path in runs.rglob("log")), BEGUN_S)
    run_id = next(path.parent.name for path in runs.glob("*/run.json"))
    await asyncio.sleep(SETTLED_S)
    await take()

    ended = await asyncio.to_thread(started.ended)

    assert ended.outputs["log"] == "devices 1\n"
    (said,) = (line for line in ended.stderr.splitlines() if "retrying: " in line)
    assert said.endswith(": it had to make room for something of higher priority")
    pods, _ = await api.pods("default", f"{FLOW_RUN_LABEL}={run_id}")
    assert pods == []


class Silent:
    """A node that is known to the cluster alone; what its pods do, it says."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api
        self.name = f"{MARK}-{uuid.uuid4().hex[:8]}"

    async def join(self) -> None:
        taint: dict[str, JsonValue] = {"key": MARK, "value": self.name, "effect": "NoSchedule"}
        metadata: dict[str, JsonValue] = {"name": self.name, "labels": {MARK: self.name}}
        await self._api.request("POST", NODES, body={"metadata": metadata, "spec": {"taints": [taint]}})
        await self.say("True")

    async def say(self, ready: str) -> None:
        """State whether it is ready, as its kubelet would, or the node's controller in its place."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        condition = {"type": "Ready", "status": ready, "lastHeartbeatTime": now, "lastTransitionTime": now}
        room = {"cpu": "1", "memory": "1Gi", "pods": "10", "ephemeral-storage": "1Gi"}
        status: dict[str, JsonValue] = {"conditions": [condition], "capacity": room, "allocatable": room}
        await self._api.request("PATCH", f"{NODES}/{self.name}/status", body={"status": status})

    async def tell(self, pod: str, ready: str) -> None:
        """State that a pod's container runs; that the pod is not ready is the word of the node's controller."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        kinds = {"PodScheduled": "True", "ContainersReady": "True", "Ready": ready}
        state = {"name": "prefect-job", "ready": True, "restartCount": 0, "image": "", "imageID": ""}
        status: dict[str, JsonValue] = {
            "phase": "Running",
            "conditions": [{"type": kind, "status": value} for kind, value in kinds.items()],
            "containerStatuses": [{**state, "state": {"running": {"startedAt": now}}}],
        }
        await self._api.request("PATCH", f"{PODS}/{pod}/status", body={"status": status})

    async def leave(self) -> None:
        await self._api.request("DELETE", f"{NODES}/{self.name}")


@pytest.fixture
async def silent(api: KubernetesApi) -> AsyncIterator[Silent]:
    """A node on which nothing runs but what tolerates it."""
    node = Silent(api)
    await node.join()
    yield node
    await node.leave()


async def pod_of(api: KubernetesApi, job: ContainerJob, holds: Callable[[KubernetesObject], object]) -> str:
    """Wait for the pod of a call and give its name, once something holds for it."""
    async with asyncio.timeout(BEGUN_S):
        while True:
            pods, _ = await api.pods("default", f"job-name={job_name(job.job_id)}")
            if pods and holds(pods[0]):
                return text(pods[0], "metadata", "name")
            await asyncio.sleep(0.2)


async def left_alone(api: KubernetesApi, job: ContainerJob, pod: str) -> None:
    """Wait until the Job of a call makes no more pods and has only this one, which still runs."""
    async with asyncio.timeout(5):
        while True:
            made = await api.job("default", job_name(job.job_id))
            pods, _ = await api.pods("default", f"job-name={job_name(job.job_id)}")
            assert pods, "it ended before its Job was kept from making another"
            alone = [text(each, "metadata", "name") for each in pods] == [pod]
            if alone and made is not None and number(made, "spec", "parallelism") == 0:
                return
            await asyncio.sleep(0.2)


class TestDisruptions(BackendCase):
    async def test_a_node_that_falls_silent(
        self, api: KubernetesApi, silent: Silent, other_backend: Callable[..., KubernetesBackend], make_job: JobMaker
    ) -> None:
        def change(spec: dict) -> None:
            pod = spec["template"]["spec"]
            pod["nodeSelector"] = {MARK: silent.name}
            at_once = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}
            kinds = ("not-ready", "unreachable")
            pod["tolerations"] = [
                {"key": MARK, "operator": "Exists"},
                *({"key": f"node.kubernetes.io/{kind}", **at_once} for kind in kinds),
            ]

        job = replace(make_job(("sleep", "600")), resources=SMALL)
        running = asyncio.create_task(execute(other_backend(with_template(change)), job))
        name = await pod_of(api, job, lambda pod: text(pod, "spec", "nodeName"))
        await silent.tell(name, "True")
        await silent.say("False")  # upon which its pods are deleted, but nobody ends them
        await silent.tell(name, "False")

        async with asyncio.timeout(80):
            outcome = await running

        assert outcome.reason is Reason.NODE_LOST
        assert (await api.pods("default", f"job-name={job_name(job.job_id)}"))[0] == []

    async def test_a_call_that_ends_well_in_its_grace_is_not_begun_again_meanwhile(
        self, api: KubernetesApi, device: str, other_backend: Callable[..., KubernetesBackend], make_job: JobMaker
    ) -> None:
        def change(spec: dict) -> None:
            spec["template"]["spec"]["terminationGracePeriodSeconds"] = 30

        script = "trap 'sleep 6; echo ended; exit 0' TERM; echo begun; for i in `seq 60`; do sleep 1; done"
        backend = other_backend(with_template(change), kubernetes_gpu=device)
        for count in range(TRIES):
            job = make_job(("sh", "-c", script), suffix=f"-{count}")
            job = replace(job, resources=replace(SMALL, gpus=1))  # so that no other pod can begin meanwhile
            running = asyncio.create_task(execute(backend, job))
            await wrote(job, b"begun\n", running)
            await asyncio.sleep(SETTLED_S)
            name = await pod_of(api, job, lambda _: True)
            await api.request("DELETE", f"{PODS}/{name}")  # with the grace that it has, as a node that is drained
            await left_alone(api, job, name)
            outcome = await running
            if outcome.message != UNTOLD:
                break

        told = (outcome.reason, outcome.message, outcome.exit_code)
        assert told == (Reason.EXITED, None, 0) or (
            await api.version() < KEEPS_PODS and told == (Reason.LOST, UNTOLD, None)
        )
        assert job.stdout.read_bytes() == b"begun\nended\n"

    async def test_more_devices_than_any_node_has(
        self, device: str, other_backend: Callable[..., KubernetesBackend], make_job: JobMaker
    ) -> None:
        backend = other_backend(kubernetes_gpu=device, kubernetes_start_timeout_s=2)
        outcome = await execute(backend, replace(make_job(("true",)), resources=replace(SMALL, gpus=2)))
        assert outcome.reason is Reason.UNSCHEDULABLE
        assert f"Insufficient {device}" in str(outcome.message)
        assert "CWL_PREFECT_KUBERNETES_GPU" in str(outcome.hint)
