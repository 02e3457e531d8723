"""Whether a cluster can run steps: its API, the rights, and one pod that pulls an image and writes to the volume."""

import asyncio
import shutil
import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cwl_prefect.backends.base import execute
from cwl_prefect.backends.job_variables import JobVariables
from cwl_prefect.backends.kubernetes import KubernetesBackend
from cwl_prefect.backends.kubernetes_client import KubernetesApi, connect
from cwl_prefect.backends.kubernetes_manifest import KubernetesDefaults, kubernetes_defaults
from cwl_prefect.backends.kubernetes_objects import part
from cwl_prefect.errors import BackendError
from cwl_prefect.model.findings import Finding
from cwl_prefect.model.job import ContainerJob, DockerImage, JobOutcome, Mount, Reason, Resources
from cwl_prefect.settings import Settings

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

API, RIGHTS, POD, CLOCK = "Kubernetes API", "Kubernetes rights", "Kubernetes pod", "Kubernetes clock"

NEEDED: Mapping[str, tuple[str, ...]] = {
    "batch/jobs": ("create", "get", "list", "patch", "delete"),
    "/pods": ("get", "list", "watch", "delete"),
    "/events": ("list",),
}
"""What a run does in the namespace of its steps, by group and resource."""

MOST_SKEW_S = 5.0

_ANSWER_S, _POD_S = 20.0, 120.0
_ROLE = "give the account that runs use these verbs in a Role of the namespace"


async def kubernetes_findings(
    settings: Settings, variables: JobVariables, *, client: "PrefectClient | None" = None
) -> list[Finding]:
    """Look at the cluster that steps would run on; one pod is run on it, and removed.

    Args:
        settings: Name the volume and the workspaces.
        variables: Job template of a Kubernetes work pool and the job variables over it.
        client: Resolves blocks and variables that the template refers to.
    """
    try:
        defaults = await kubernetes_defaults(variables.for_step(""), client=client)
        api = await connect(defaults.cluster)
    except BackendError as error:
        return [
            Finding.error(API, f"{error.message}.", fix=error.hint or "set KUBECONFIG, and try `kubectl get pods`.")
        ]
    try:
        found = [await _version(api), *await _rights(api, defaults)]
    except (BackendError, TimeoutError) as error:
        told = error.message if isinstance(error, BackendError) else f"no answer within {_ANSWER_S:g} s"
        return [
            Finding.error(API, f"{told}.", fix="check the kubeconfig and the network: `kubectl get --raw /version`.")
        ]
    finally:
        await api.close()
    return [*found, *await _pod(settings, variables, client)]


async def _version(api: KubernetesApi) -> Finding:
    async with asyncio.timeout(_ANSWER_S):
        answer = await api.request("GET", "/version")
    return Finding.ok(API, f"it answers: {answer.get('gitVersion', 'of an unknown version')}.")


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
    """Run one pod on the shared volume."""
    hurried = settings.model_copy(update={"kubernetes_start_timeout_s": min(60.0, settings.kubernetes_start_timeout_s)})
    backend = KubernetesBackend(hurried, variables, client=client)
    directory: Path | None = None
    try:
        async with asyncio.timeout(_POD_S):
            await backend.cluster()
            directory = Path(tempfile.mkdtemp(dir=settings.runs.resolve(), prefix=".doctor-"))
            before_s = time.time()
            outcome = await execute(backend, _job(directory, settings.kubernetes_helper_image))
        return pod_findings(outcome, directory, before_s, time.time())
    except BackendError as error:
        return [Finding.error(POD, f"{error.message}.", fix=error.hint or "see `kubectl get events`.")]
    except (TimeoutError, OSError) as error:
        told = f"no pod ended within {_POD_S:g} s" if isinstance(error, TimeoutError) else str(error)
        return [Finding.error(POD, f"{told}.", fix="see `kubectl get pods` and `kubectl get events`.")]
    finally:
        await backend.close()
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)


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
    """Tell what came of the pod.

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
    told = (outcome.message or "nothing more is known").removeprefix(f"{outcome.reason}: ").rstrip(".")
    fix = "see `kubectl describe` of a pod"
    if outcome.reason is Reason.UNSCHEDULABLE:
        fix = "make what is missing (a claim, room on a node), or take it out of the pool's template"
    return Finding.error(POD, f"a pod does not run: {outcome.reason}: {told}.", fix=f"{fix}.")
