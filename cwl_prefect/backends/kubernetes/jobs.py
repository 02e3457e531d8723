"""Creating, finding and removing a call's Job, also one that another driver left."""

import asyncio
import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from cwl_prefect.backends.kubernetes.api.client import KubernetesApi, RefusedError, connect
from cwl_prefect.backends.kubernetes.api.credentials import ClusterConfig
from cwl_prefect.backends.kubernetes.cluster import PREFECT_FLOW_RUN_LABEL, Cluster, owning_job
from cwl_prefect.backends.kubernetes.manifest.labels import job_annotations
from cwl_prefect.backends.kubernetes.objects import (
    KubernetesObject,
    end_of,
    job_name,
    label_value,
    moment,
    number,
    part,
    parts,
    selector,
    text,
)
from cwl_prefect.backends.kubernetes.sidecars import has_sidecars
from cwl_prefect.backends.kubernetes.transfers.secret import take_back
from cwl_prefect.backends.kubernetes.watch import JOB_NAME_LABEL
from cwl_prefect.backends.naming import FLOW_RUN_LABEL, LABEL_PREFIX, job_labels
from cwl_prefect.model.job import ContainerJob

logger = logging.getLogger(__name__)

DRIVER_ANNOTATION = f"{LABEL_PREFIX}driver"
"""Annotation of a Job that names the process which created it."""

RUNS_ANNOTATION = f"{LABEL_PREFIX}runs"
"""Annotation of a Job that holds what its call runs; pods themselves may be given other names of images."""

_CONFLICT = 409
_POLL_S = 0.2
_PATIENCE_S = 6.0
_GIVE_UP_S = 15.0
_LAST_WORDS_S = 10  # in which a process that is done can end by itself


def what_runs(image: str, entry_point: Sequence[str]) -> str:
    """Return in one text what a call runs: an image, and the words that come before the call's command."""
    return json.dumps([image, *entry_point])


async def create(cluster: Cluster, manifest: KubernetesObject) -> None:
    """Create a Job; another driver's of this name is removed first.

    Raises:
        BackendError: The cluster refuses it or does not answer.
    """
    namespace, name = cluster.defaults.namespace, text(manifest, "metadata", "name")
    driver = text(manifest, "metadata", "annotations", DRIVER_ANNOTATION)
    while True:
        try:
            await cluster.api.create_job(namespace, manifest)
        except RefusedError as error:
            if error.status != _CONFLICT:
                raise
        else:
            return
        found = await cluster.api.job(namespace, name)
        if found is None or text(found, "metadata", "deletionTimestamp"):
            await asyncio.sleep(_POLL_S)
        elif text(found, "metadata", "annotations", DRIVER_ANNOTATION) == driver:
            return  # the answer to an earlier try was lost
        else:
            logger.info("replacing the Job %s that an earlier run left", name)
            await remove(cluster.api, namespace, name)


async def take_over(cluster: Cluster, job: ContainerJob, runs: str) -> bool:
    """Take over a call's Job; return whether it was there, was started for the very same call, and lacks nothing.

    Its owner becomes this flow run's Job, so that it does not go away with that of the driver that is gone.

    Args:
        cluster: Where it is.
        job: The call.
        runs: What it would run now, see :func:`what_runs`.

    Raises:
        BackendError: The cluster refuses or does not answer.
    """
    namespace, name = cluster.defaults.namespace, job_name(job.job_id)
    found = await cluster.api.job(namespace, name)
    if found is None or text(found, "metadata", "deletionTimestamp"):
        return False
    labels, annotations = part(found, "metadata", "labels"), part(found, "metadata", "annotations")
    same = all(labels.get(key) == label_value(value) for key, value in job_labels(job, {}).items())
    noted = {**job_annotations(job), RUNS_ANNOTATION: runs}
    exact = all(annotations.get(key) == value for key, value in noted.items())
    if not (same and exact and job.stdout.exists() and job.stderr.exists()):
        return False
    if await _made_pods(cluster.api, found) > 1:
        return False  # one was deleted, and the next began in what it left behind
    if end_of(found) is not None and not await pods_of(cluster.api, namespace, name):
        return False  # only its pod could tell how the call ended
    owners = [] if cluster.owner is None else [cluster.owner]
    if _uids(owners) == _uids(parts(found, "metadata", "ownerReferences")):
        return True
    return await cluster.api.give_job(namespace, name, owners)


def _uids(owners: Iterable[KubernetesObject]) -> set[str]:
    return {text(owner, "uid") for owner in owners}


async def _made_pods(api: KubernetesApi, job: KubernetesObject) -> int:
    """Return how many pods a Job made, by its events; none where they are gone or may not be read."""
    events = await api.events(text(job, "metadata", "namespace"), text(job, "metadata", "uid"))
    return len({text(event, "message") for event in events if text(event, "reason") == "SuccessfulCreate"})


async def pods_of(api: KubernetesApi, namespace: str, name: str) -> list[KubernetesObject]:
    """Return the pods of a Job.

    Raises:
        BackendError: The cluster refuses or does not answer.
    """
    pods, _ = await api.pods(namespace, f"{JOB_NAME_LABEL}={name}")
    return pods


async def reap(labels: Mapping[str, str], namespaces: Iterable[str], *, named: ClusterConfig | None = None) -> int:
    """Remove every Job with all these labels, whoever started it, and tell how many there were; their run's Secret too.

    Args:
        labels: At least one label, as ``{FLOW_RUN_LABEL: flow_run_id}``; an empty mapping removes nothing.
        namespaces: Where to look if not every namespace may be looked at.
        named: The cluster; None for the one that this process is configured for.

    Raises:
        BackendError: The cluster does not answer or refuses.
    """
    if not labels:
        return 0
    api = await connect(named)
    try:
        try:
            found = await api.jobs(None, selector(labels))
        except RefusedError:
            found = [job for namespace in namespaces for job in await api.jobs(namespace, selector(labels))]
        places = [(text(job, "metadata", "namespace"), text(job, "metadata", "name")) for job in found]
        await asyncio.gather(*(remove(api, namespace, name) for namespace, name in places))
        if (run := labels.get(FLOW_RUN_LABEL)) is not None:
            used = {*namespaces, *(text(job, "metadata", "namespace") for job in found)}
            await asyncio.gather(*(take_back(api, namespace, run) for namespace in used))
    finally:
        await api.close()
    return len(found)


async def remove(api: KubernetesApi, namespace: str, name: str) -> None:
    """Delete a Job with its pods, and see them go; those that are slow to end, as on a lost node, are struck off.

    Raises:
        BackendError: The cluster refuses or does not answer.
    """
    await api.delete_job(namespace, name)
    asked: dict[str, bool] = {}  # by pod, whether it was struck off already
    loop = asyncio.get_running_loop()
    began = loop.time()
    while loop.time() < began + _GIVE_UP_S:
        pods = await pods_of(api, namespace, name)
        if not pods and await api.job(namespace, name) is None:
            return
        late = loop.time() > began + _PATIENCE_S
        for pod_name in (text(pod, "metadata", "name") for pod in pods):
            if asked.get(pod_name) is not late:
                asked[pod_name] = late
                await api.delete_pod(namespace, pod_name, at_once=late)
        await asyncio.sleep(_POLL_S)
    logger.warning("the pods of the Job %s are slow to end", name)


async def end_flow_run_jobs(flow_run_id: str, namespace: str) -> None:
    """Let the Jobs that workers made for a flow run end soon where containers beside its own would keep them alive.

    The cluster does it, by a deadline: deleted at once, a Job would take along what its flow run has yet to say. There
    may be Jobs of earlier drivers, which ended without a word.

    Raises:
        BackendError: The cluster does not answer or refuses.
    """
    api = await connect()
    try:
        pods, _ = await api.pods(namespace, selector({PREFECT_FLOW_RUN_LABEL: flow_run_id}))
        owners = [owning_job(pod, namespace) for pod in pods if has_sidecars(pod)]
        for name in sorted({text(owner, "name") for owner in owners if owner is not None}):
            await _end_soon(api, namespace, name)
    finally:
        await api.close()


async def _end_soon(api: KubernetesApi, namespace: str, name: str) -> None:
    job = await api.job(namespace, name)
    began = None if job is None else moment(job, "status", "startTime")
    if job is None or began is None or end_of(job) is not None:
        return
    after_s = max(0, math.ceil((datetime.now(UTC) - began).total_seconds())) + _LAST_WORDS_S
    if after_s < (number(job, "spec", "activeDeadlineSeconds") or math.inf):
        await api.end_job(namespace, name, after_s=after_s)
