"""Whether flow runs can work in a cluster, seen from outside: one pod as they have, which writes where they write."""

import asyncio
import copy
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue, TypeAdapter, ValidationError

from cwl_prefect._lib.cancellation import shielded
from cwl_prefect.backends.job_template.job_variables import JobVariables
from cwl_prefect.backends.kubernetes.api.client import KubernetesApi, connect
from cwl_prefect.backends.kubernetes.jobs import pods_of, remove
from cwl_prefect.backends.kubernetes.manifest.defaults import KubernetesDefaults, kubernetes_defaults
from cwl_prefect.backends.kubernetes.objects import KubernetesObject, part, parts, text
from cwl_prefect.backends.kubernetes.outcomes import stuck, told
from cwl_prefect.errors import BackendError
from cwl_prefect.model.findings import Finding

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

POD = "Kubernetes pod of flow runs"

_POD_S, _POLL_S, _KEPT_S = 120.0, 0.5, 300
_NAMES = ("HOME", "TMPDIR", "PREFECT_HOME")
_OWN = "CWL_PREFECT_"
_PROBE = """
import importlib.metadata, json, pathlib, sys, tempfile
from prefect.settings import PREFECT_HOME

def problem(directory):
    try:
        if directory is not None:
            pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=directory).close()
    except OSError as error:
        return str(error)

places = {"workspaces": sys.argv[1], "Prefect's home": str(PREFECT_HOME.value()), "temporary files": None}
problems = {name: found for name, place in places.items() if (found := problem(place))}
said = {"version": importlib.metadata.version("cwl-prefect"), "problems": problems}
pathlib.Path("/dev/termination-log").write_text(json.dumps(said))
"""
_FIXES: Mapping[str, str] = {
    "workspaces": "let the user that the pod runs as write to the volume there, or mount one there",
    "Prefect's home": "mount an emptyDir where the variable PREFECT_HOME in the pool's env says, and set it",
    "temporary files": "mount an emptyDir at /tmp",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """What a pool and a deployment say of flow runs.

    Attributes:
        image: The image that they run in.
        runs: Where they have workspaces.
        environment: Their environment.
    """

    image: str
    runs: Path
    environment: Mapping[str, JsonValue]


async def driver_findings(
    driver: Driver, variables: JobVariables, *, client: "PrefectClient | None" = None
) -> list[Finding]:
    """Run one pod as a flow run has, and remove it.

    Args:
        driver: What flow runs have.
        variables: Job template of a Kubernetes work pool and the job variables over it.
        client: Resolves blocks and variables that the template refers to.
    """
    try:
        defaults = await kubernetes_defaults(variables.for_flow_run(), client=client)
        api = await connect(defaults.cluster)
    except BackendError as error:
        return [Finding.error(POD, f"{error.message}.", fix=error.hint or "see `kubectl get pods`.")]
    manifest = driver_manifest(driver, defaults)
    name = text(manifest, "metadata", "name")
    try:
        try:
            await api.create_job(defaults.namespace, manifest)
            pod = await _ended(api, defaults.namespace, name)
            events = "" if pod is None else told(await api.events(defaults.namespace, text(pod, "metadata", "uid")))
        finally:
            await shielded(remove(api, defaults.namespace, name))
    except BackendError as error:
        return [Finding.error(POD, f"{error.message}.", fix=error.hint or "see `kubectl get events`.")]
    finally:
        await api.close()
    return list(pod_findings(pod, driver, events))


def driver_manifest(driver: Driver, defaults: KubernetesDefaults) -> KubernetesObject:
    """Return the Job of a pod that tells where a flow run could write; it has no credentials of Prefect's API."""
    manifest = copy.deepcopy(defaults.manifest)
    template = part(manifest, "spec", "template")
    pod = part(template, "spec")
    first, *others = parts(pod, "containers")
    plain: list[JsonValue] = [
        {"name": name, "value": str(value)}
        for name, value in driver.environment.items()
        if (name in _NAMES or name.startswith(_OWN)) and isinstance(value, str | int | float)
    ]
    kept = {name: value for name, value in first.items() if name not in ("args", "command", "livenessProbe")}
    elsewhere = [entry for entry in parts(first, "env") if "valueFrom" in entry]
    first = {
        **kept,
        "image": driver.image,
        "command": ["python", "-c", _PROBE, str(driver.runs)],
        "env": [*elsewhere, *plain],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    for misplaced in ("parallelism", "completions"):  # Prefect's own template has them here
        pod.pop(misplaced, None)
    template["spec"] = {**pod, "restartPolicy": "Never", "containers": [first, *others]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"cwl-prefect-doctor-{uuid.uuid4().hex[:12]}", "namespace": defaults.namespace},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": int(_POD_S),
            "ttlSecondsAfterFinished": _KEPT_S,
            "template": template,
        },
    }


async def _ended(api: KubernetesApi, namespace: str, name: str) -> KubernetesObject | None:
    """Return the Job's pod once its first container ended, or as it is after as long as it may take."""
    loop = asyncio.get_running_loop()
    began, pod = loop.time(), None
    while loop.time() < began + _POD_S:
        pod = next(iter(await pods_of(api, namespace, name)), pod)
        if pod is not None and (_end(pod) or text(pod, "status", "phase") == "Failed"):
            break
        await asyncio.sleep(_POLL_S)
    return pod


def _end(pod: KubernetesObject) -> KubernetesObject:
    """Return how the pod's first container ended; empty where it did not."""
    name = text(parts(pod, "spec", "containers")[0], "name")
    found = [
        part(each, "state", "terminated") for each in parts(pod, "status", "containerStatuses") if each["name"] == name
    ]
    return found[0] if found else {}


def pod_findings(pod: KubernetesObject | None, driver: Driver, events: str) -> Iterator[Finding]:
    """Yield what came of the pod.

    Args:
        pod: It, as the cluster has it last; None: there is none.
        driver: What flow runs have.
        events: What the cluster told of it.
    """
    end = {} if pod is None else _end(pod)
    if not end:
        obstacle = None if pod is None else stuck(pod)
        said = "; ".join(filter(None, [obstacle.message if obstacle else "", events])) or "nothing more is known"
        fix = (obstacle and obstacle.hint) or "mend what it says in the pool's template or the cluster"
        yield Finding.error(POD, f"a pod of {driver.image} did not end: {said}.", fix=f"{fix.rstrip('.')}.")
        return
    message = text(end, "message").strip()
    try:
        answer = TypeAdapter(_Answer).validate_json(message)
    except ValidationError:
        last = (message.splitlines() or ["nothing was printed"])[-1]
        fix = "install cwl-prefect, and the Python that it needs, in the image; or name another image."
        yield Finding.error(POD, f"cwl-prefect does not run in {driver.image}: {last}.", fix=fix)
        return
    for what, problem in answer.problems.items():
        yield Finding.error(POD, f"flow runs cannot write their {what}: {problem}.", fix=f"{_FIXES.get(what, '')}.")
    if not answer.problems:
        yield Finding.ok(POD, f"{driver.image} has cwl-prefect {answer.version}, and can write to {driver.runs}.")


@dataclass(frozen=True, slots=True)
class _Answer:
    version: str
    problems: dict[str, str]
