"""Whether a cluster can run steps: its API, the rights, and one pod that pulls an image and writes to the volume."""

import asyncio
import shutil
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from cwl_prefect.backends.base import delete_shielded
from cwl_prefect.backends.job_template.job_variables import JobVariables
from cwl_prefect.backends.kubernetes.api.client import KubernetesApi, connect, version_of
from cwl_prefect.backends.kubernetes.backend import KubernetesBackend
from cwl_prefect.backends.kubernetes.driver_check import Driver, driver_findings
from cwl_prefect.backends.kubernetes.jobs import pods_of
from cwl_prefect.backends.kubernetes.launcher import MOUNT_PATH
from cwl_prefect.backends.kubernetes.manifest.defaults import KubernetesDefaults, kubernetes_defaults
from cwl_prefect.backends.kubernetes.objects import part, parts, text
from cwl_prefect.backends.kubernetes.outcomes import Stuck, stuck, told
from cwl_prefect.backends.kubernetes.sidecars import sidecar_findings
from cwl_prefect.errors import BackendError
from cwl_prefect.model.findings import Finding, Severity
from cwl_prefect.model.job import ContainerJob, DockerImage, JobOutcome, Mount, Reason, Resources
from cwl_prefect.settings import Settings

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

API, RIGHTS, POD, CLOCK = "Kubernetes API", "Kubernetes rights", "Kubernetes pod", "Kubernetes clock"
IMAGE = "Kubernetes image"

NEEDED: Mapping[str, tuple[str, ...]] = {
    "batch/jobs": ("create", "get", "list", "patch", "delete"),
    "/pods": ("get", "list", "watch", "delete"),
    "/events": ("list",),
}
"""What a run does in the namespace of its steps, by group and resource."""

MOST_SKEW_S = 5.0

_ANSWER_S, _POD_S = 20.0, 120.0
_FIXES: Mapping[Reason, str] = {
    Reason.UNSCHEDULABLE: "make what is missing (a claim, room on a node), or take it out of the pool's template",
    Reason.NO_IMAGE: "name by CWL_PREFECT_KUBERNETES_HELPER_IMAGE an image with a static busybox that nodes can pull",
    Reason.NO_CONTAINER: "check the secrets, config maps, volumes and security context in the pool's template",
    Reason.QUOTA: "ask for a larger quota (`kubectl describe quota`), or name another namespace in the pool's template",
    Reason.START_FAILED: "check the volumes, init containers and security context in the pool's template",
}
_ROLE = "give the account that runs use these verbs in a Role of the namespace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen of a pod.

    Attributes:
        told: Its state and events.
        obstacle: What keeps one of its containers from running, if anything does.
    """

    told: str
    obstacle: Stuck | None = None


async def kubernetes_findings(
    settings: Settings,
    variables: JobVariables,
    *,
    client: "PrefectClient | None" = None,
    driver: Driver | None = None,
) -> list[Finding]:
    """Look at the cluster that steps would run on; one pod is run on it, and removed.

    Args:
        settings: Name the volume and the workspaces.
        variables: Job template of a Kubernetes work pool and the job variables over it.
        client: Resolves blocks and variables that the template refers to.
        driver: What flow runs have that are in the cluster, where this process is not; None: runs are driven from here.
    """
    try:
        defaults = await kubernetes_defaults(variables.for_step(""), client=client)
        flow_runs = await kubernetes_defaults(variables.for_flow_run(), client=client)
        api = await connect(defaults.cluster)
    except BackendError as error:
        return [
            Finding.error(API, f"{error.message}.", fix=error.hint or "set KUBECONFIG, and try `kubectl get pods`.")
        ]
    try:
        async with asyncio.timeout(_ANSWER_S):
            answer = await api.request("GET", "/version")
        found = [Finding.ok(API, f"it answers: {answer.get('gitVersion', 'of an unknown version')}.")]
        found += [*sidecar_findings(flow_runs.manifest, version_of(answer)), *await _rights(api, defaults)]
    except (BackendError, TimeoutError) as error:
        told = error.message if isinstance(error, BackendError) else f"no answer within {_ANSWER_S:g} s"
        return [
            Finding.error(API, f"{told}.", fix="check the kubeconfig and the network: `kubectl get --raw /version`.")
        ]
    finally:
        await api.close()
    if driver is not None:
        return [*found, *await driver_findings(driver, variables, client=client)]
    return [*found, *await _pod(settings, variables, client)]


async def _rights(api: KubernetesApi, defaults: KubernetesDefaults) -> list[Finding]:
    asked = [(kind, verb) for kind, verbs in NEEDED.items() for verb in verbs]
    async with asyncio.timeout(_ANSWER_S):
        allowed = await asyncio.gather(*(_allowed(api, defaults.namespace, kind, verb) for kind, verb in asked))
    missing = [f"{verb} {kind.rpartition('/')[2]}" for (kind, verb), may in zip(asked, allowed, strict=True) if not may]
    if missing:
        message = f"not allowed in the namespace {defaults.namespace}: {', '.join(missing)}."
        return [Finding.error(RIGHTS, message, fix=f"{_ROLE}: `kubectl auth can-i --list -n {defaults.namespace}`.")]
    return [Finding.ok(RIGHTS, f"all that runs do in the namespace {defaults.namespace} is allowed.")]


async def _allowed(api: KubernetesApi, namespace: str, kind: str, verb: str) -> bool:
    group, _, resource = kind.partition("/")
    review = await api.request(
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        body={
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {
                "resourceAttributes": {"namespace": namespace, "group": group, "resource": resource, "verb": verb}
            },
        },
    )
    return part(review, "status").get("allowed") is True


async def _pod(settings: Settings, variables: JobVariables, client: "PrefectClient | None") -> list[Finding]:
    """Run one pod on the shared volume, and one of the image of flow runs where the template names it."""
    start_timeout_s = min(60.0, settings.kubernetes_start_timeout_s)
    changed = {"kubernetes_start_timeout_s": start_timeout_s, "kubernetes_images_by_digest": False}
    hurried = settings.model_copy(update=changed)  # whether nodes can pull a tag, as workers have them do
    backend = KubernetesBackend(hurried, variables, client=client)
    directory = settings.runs.resolve() / f".doctor-{uuid.uuid4().hex}"
    try:
        cluster = await backend.cluster()
        directory.mkdir()  # as workspaces are made, so that the same users can write there
        job = _job(directory, settings.kubernetes_helper_image)
        before_s = time.time()
        outcome, seen = await _ran(backend, cluster.api, cluster.defaults.namespace, job)
        if outcome is None:
            return [_unended(seen)]
        found = pod_findings(outcome, directory, before_s, time.time())
        if found[0].severity is Severity.ERROR:
            return found
        found += _beside(seen)
        image = flow_run_image(variables.template)
        if image is None:
            return found
        pulled, seen = await _ran(backend, cluster.api, cluster.defaults.namespace, _of_image(job, image))
        return [*found, image_finding(image, pulled, seen)]
    except BackendError as error:
        return [Finding.error(POD, f"{error.message}.", fix=error.hint or "see `kubectl get events`.")]
    except OSError as error:
        return [Finding.error(POD, f"{error}.", fix="let this user write to the directory for workspaces.")]
    finally:
        await backend.close()
        shutil.rmtree(directory, ignore_errors=True)


async def _ran(
    backend: KubernetesBackend, api: KubernetesApi, namespace: str, job: ContainerJob
) -> tuple[JobOutcome | None, Seen]:
    """Run a pod for as long as it may take, and tell how it ended and what was seen of it before it was removed."""
    handle = await backend.start(job)
    outcome: JobOutcome | None = None
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(_POD_S):
                outcome = await backend.wait(handle)
        return outcome, await _seen(api, namespace, handle.reference)
    finally:
        await delete_shielded(backend, handle)


async def _seen(api: KubernetesApi, namespace: str, job_name: str) -> Seen:
    pods = await pods_of(api, namespace, job_name)
    if not pods:
        return Seen(told="it has no pod")
    pod, obstacle = pods[0], stuck(pods[0])
    said = [f"it is {text(pod, 'status', 'phase')}"] if obstacle is None else [obstacle.message]
    said.append(told(await api.events(namespace, text(pod, "metadata", "uid"))))
    return Seen(told="; ".join(filter(None, said)), obstacle=obstacle)


def _unended(seen: Seen) -> Finding:
    fix = (seen.obstacle and seen.obstacle.hint) or "mend what it says in the pool's template or the cluster"
    return Finding.error(POD, f"a pod did not end within {_POD_S:g} s: {seen.told}.", fix=f"{fix}.")


def _beside(seen: Seen) -> list[Finding]:
    """Report a sidecar that does not run although the step's own container did."""
    if seen.obstacle is None:
        return []
    fix = seen.obstacle.hint or "mend it in the pool's template"
    message = f"a container beside that of the step does not run: {seen.obstacle.message.rstrip('.')}."
    return [Finding.warning(POD, message, fix=f"{fix}.")]


def flow_run_image(template: Mapping[str, JsonValue]) -> str | None:
    """Return the image that a template names for flow runs, fixed or as the default of its variable; None: it has none.

    Args:
        template: Base job template of a Kubernetes work pool.
    """
    pod = part(template, "job_configuration", "job_manifest", "spec", "template", "spec")
    fixed = "".join(text(container, "image") for container in parts(pod, "containers")[:1])
    if fixed and "{{" not in fixed:
        return fixed
    return text(template, "variables", "properties", "image", "default") or None


def _of_image(job: ContainerJob, image: str) -> ContainerJob:
    return replace(
        job, job_id=f"{job.job_id}-image", image=DockerImage(pull=image), command=(f"{MOUNT_PATH}/busybox", "true")
    )


def image_finding(image: str, outcome: JobOutcome | None, seen: Seen) -> Finding:
    """Return whether nodes can pull the image of flow runs.

    Args:
        image: The image.
        outcome: How a pod of it ended; None: it did not yet.
        seen: What was seen of that pod.
    """
    if outcome is None:
        message = f"a pod of {image}, the image of flow runs, does not run after {_POD_S:g} s: {seen.told}."
        return Finding.warning(IMAGE, message, fix="pull it to the nodes, or wait for them, and look again.")
    if outcome.reason is Reason.NO_IMAGE:
        message = f"nodes cannot pull {image}, the image of flow runs: {_told(outcome)}."
        return Finding.error(IMAGE, message, fix="mend the image in the pool's template, or its pull secrets.")
    return Finding.ok(IMAGE, f"nodes can pull {image}, the image of flow runs.")


def _job(directory: Path, image: str) -> ContainerJob:
    return ContainerJob(
        job_id=f"doctor-{uuid.uuid4().hex}",
        name="doctor",
        image=DockerImage(pull=image),
        command=("/bin/busybox", "sh", "-c", "/bin/busybox date +%s > /check/now"),
        env={"HOME": "/check"},
        mounts=(Mount(source=directory, target="/check", writable=True),),
        workdir="/check",
        stdin=None,
        stdout=directory / "stdout",
        stderr=directory / "stderr",
        resources=Resources(cores=0.1, ram_mib=64, tmpdir_mib=16, outdir_mib=16),
        timeout_s=60,
    )


def pod_findings(outcome: JobOutcome, directory: Path, before_s: float, after_s: float) -> list[Finding]:
    """Return what came of the pod.

    Args:
        outcome: How it ended.
        directory: The directory of the volume that it wrote the time of its node to.
        before_s: Time here before it was started.
        after_s: Time here after it ended.
    """
    if outcome.reason is not Reason.EXITED or outcome.exit_code != 0:
        return [_failed_pod(outcome, directory)]
    try:
        there_s = int((directory / "now").read_text())
    except (OSError, ValueError):
        message = f"a pod wrote to the volume, but nothing is seen in {directory}."
        fix = "mount the same volume here: CWL_PREFECT_KUBERNETES_VOLUME and CWL_PREFECT_KUBERNETES_VOLUME_PATH."
        return [Finding.error(POD, message, fix=fix)]
    found = [Finding.ok(POD, "a pod pulled its image and wrote to the volume, which is seen here.")]
    skew_s = max(before_s - there_s - 1, there_s - after_s, 0.0)  # a node's time has no fractions
    if skew_s > MOST_SKEW_S:
        message = f"the node's clock is {skew_s:.0f} s off this machine's: time limits and times shown will be wrong."
        return [*found, Finding.warning(CLOCK, message, fix="let both get their time from NTP.")]
    return [*found, Finding.ok(CLOCK, "the node's clock agrees with this machine's.")]


def _failed_pod(outcome: JobOutcome, directory: Path) -> Finding:
    if outcome.reason is Reason.EXITED:
        stderr = directory / "stderr"
        said = stderr.read_text("utf-8", "replace").strip() if stderr.exists() else ""
        message = f"a pod cannot write to the volume: {said or f'exit code {outcome.exit_code}'}."
        return Finding.error(POD, message, fix="let the user that pods run as write there, or set a security context.")
    fix = outcome.hint or _FIXES.get(outcome.reason, "mend what it says in the pool's template or the cluster")
    return Finding.error(POD, f"a pod does not run: {outcome.reason}: {_told(outcome)}.", fix=f"{fix.rstrip('.')}.")


def _told(outcome: JobOutcome) -> str:
    return (outcome.message or "nothing more is known").removeprefix(f"{outcome.reason}: ").rstrip(".")
