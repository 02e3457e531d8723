"""What a step costs on Kubernetes beside a bare Job of the same image, requests and limits, both in this process.

A node looks once a second for containers that ended, so that each measurement ends at one of these looks. The pauses
before the pairs are spread over a second, and the same for both of a pair: after equal pauses all would begin equally
long after a look, and a tenth of a second more would then count either as nothing or as a whole second.
"""

import asyncio
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from cwl_prefect.backends.base import execute
from cwl_prefect.backends.kubernetes.api.client import KubernetesApi, connect
from cwl_prefect.backends.kubernetes.backend import KubernetesBackend
from cwl_prefect.backends.kubernetes.objects import KubernetesObject, text
from cwl_prefect.backends.kubernetes.watch import Followed, PodWatch
from cwl_prefect.model.job import ContainerJob, DockerImage, Resources
from tests.bench.processes import BenchError
from tests.calls import job, own_directories
from tests.kubernetes.cluster import VARIABLES, cluster_settings, problem
from tests.object_store import ObjectStore, own_address, separate_store

IMAGE, LABEL, NAMESPACE = "busybox:1.35", "cwl-prefect.io/bench", "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Seconds of steps and of bare Jobs, measured in turn."""

    ours: tuple[float, ...]
    bare: tuple[float, ...]


def measure(volume: Path, *, width: int, repeat: int) -> Times:
    """Run so many calls at once, and so many bare Jobs, in turn.

    Raises:
        BenchError: There is no cluster.
    """
    found = problem()
    if found is not None:
        raise BenchError(found)
    return asyncio.run(_measure(volume.resolve(), width, repeat))


async def _measure(volume: Path, width: int, repeat: int) -> Times:
    api, backend = await connect(), KubernetesBackend(cluster_settings(volume), VARIABLES)
    ours, bare = [], []
    try:
        await execute(backend, _job(volume, "first"))  # connects, and brings the launcher
        for number in range(repeat):
            pause_s = 1 + width / 10 + number / repeat  # the node clears away what ended
            await asyncio.sleep(pause_s)
            began = time.monotonic()
            await _bare(api, f"{number}-{uuid.uuid4().hex[:6]}", width)
            bare.append(round(time.monotonic() - began, 3))
            await asyncio.sleep(pause_s)
            ours.append(await _seconds(backend, volume, str(number), width))
    finally:
        await backend.close()
        await api.close()
    return Times(ours=tuple(ours), bare=tuple(bare))


def measure_store(volume: Path, *, width: int, repeat: int) -> Times:
    """Run so many calls at once whose files go by an object store, and so many on a directory of the node, in turn.

    Raises:
        BenchError: There is no cluster.
    """
    found = problem()
    if found is not None:
        raise BenchError(found)
    with separate_store(own_address()) as store:
        return asyncio.run(_measure_store(volume.resolve(), store, width, repeat))


async def _measure_store(volume: Path, store: ObjectStore, width: int, repeat: int) -> Times:
    api, secret = await connect(), f"cwl-bench-{uuid.uuid4().hex[:8]}"
    keys = {name: store.environment[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    await api.put_secret(NAMESPACE, {"metadata": {"name": secret}, "stringData": keys})
    by_store = {"kubernetes_volume": None, "workspaces": store.url("ws"), "workspaces_secret": secret}
    backends = {
        name: KubernetesBackend(cluster_settings(volume, **changed), VARIABLES)
        for name, changed in (("store", by_store), ("volume", {}))
    }
    times: dict[str, list[float]] = {name: [] for name in backends}
    try:
        for name, backend in backends.items():
            await execute(backend, _job(volume, f"first-{name}"))  # connects, and brings the launcher
        for number in range(repeat):
            for name in sorted(backends, reverse=number % 2 == 1):
                await asyncio.sleep(1 + width / 10 + number / repeat)
                times[name].append(await _seconds(backends[name], volume, f"{name}-{number}", width))
    finally:
        await asyncio.gather(*(backend.close() for backend in backends.values()))
        await api.delete_secret(NAMESPACE, secret)
        await api.close()
    return Times(ours=tuple(times["store"]), bare=tuple(times["volume"]))


async def _seconds(backend: KubernetesBackend, volume: Path, name: str, width: int) -> float:
    jobs = [_job(volume, f"{name}-{index}") for index in range(width)]
    began = time.monotonic()
    outcomes = await asyncio.gather(*(execute(backend, job) for job in jobs))
    if any(outcome.exit_code != 0 for outcome in outcomes):
        raise BenchError(f"a step failed: {outcomes}")
    return round(time.monotonic() - began, 3)


def _job(volume: Path, name: str) -> ContainerJob:
    place = volume / name
    return job(
        place,
        job_id=f"bench-{uuid.uuid4().hex}-{name}",
        name="bench",
        image=DockerImage(pull=IMAGE),
        command=("true",),
        env={"TMPDIR": "/tmp"},
        resources=Resources(cores=0.01, ram_mib=16, tmpdir_mib=1),
        labels={"flow-run-id": "bench"},
        **own_directories(place),
    )


async def _bare(api: KubernetesApi, run: str, width: int) -> None:
    """Create Jobs at once, watch them to their end and delete them."""
    watch = PodWatch(api, NAMESPACE, f"{LABEL}={run}")
    names = [f"cwl-bench-{run}-{index}" for index in range(width)]
    followed = [watch.follow(name) for name in names]
    await asyncio.gather(*(api.create_job(NAMESPACE, _manifest(name, run)) for name in names))
    await asyncio.gather(*map(_ended, followed))
    await asyncio.gather(*(api.delete_job(NAMESPACE, name) for name in names))
    await watch.close()


async def _ended(followed: Followed) -> None:
    while followed.pod is None or text(followed.pod, "status", "phase") not in ("Succeeded", "Failed"):
        followed.changed.clear()
        await followed.changed.wait()


def _manifest(name: str, run: str) -> KubernetesObject:
    container: KubernetesObject = {
        "name": "true",
        "image": IMAGE,
        "command": ["true"],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "200m", "memory": "16Mi"}},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": {LABEL: run}},
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": 600,
            "template": {
                "metadata": {"labels": {LABEL: run}},
                "spec": {"restartPolicy": "Never", "containers": [container]},
            },
        },
    }
