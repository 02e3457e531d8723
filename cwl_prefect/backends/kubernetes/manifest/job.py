"""From a Kubernetes pool's job template to the manifest of a step's Job.

The four layers are those of :mod:`cwl_prefect.backends.docker.template`. What the platform decides survives untouched:
tolerations, affinity, node selectors, runtime class, security contexts, service account, pull secrets, sidecars, init
containers, volumes, environment taken from elsewhere (``valueFrom``), annotations and labels. A step alone decides
command, image, environment, resources and streams; no variable and no label of Prefect reaches it.
"""

import copy
import math
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from cwl_prefect.backends.job_template.mounts import outermost_first
from cwl_prefect.backends.kubernetes.launcher import MOUNT_PATH, STREAMS_PATH, Launcher, Streams, launched, restricted
from cwl_prefect.backends.kubernetes.manifest.defaults import KubernetesDefaults
from cwl_prefect.backends.kubernetes.manifest.environment import environment, literal
from cwl_prefect.backends.kubernetes.manifest.labels import annotations_of, labels_of, platform_labels
from cwl_prefect.backends.kubernetes.objects import KubernetesObject, job_name, part, parts, text
from cwl_prefect.backends.kubernetes.sidecars import as_native
from cwl_prefect.backends.kubernetes.storage import (
    VOLUME_NAME,
    Storage,
    seen_inside,
    shown_directly,
    writable_mount_of,
)
from cwl_prefect.model.job import ContainerJob, Mount, Resources

_DEFAULT_TTL_S = 3600
_LEAST_CORES = 0.001
_LEAST_CPU_LIMIT = 0.2  # what starts a container runs under its limit too: with a hundredth of a core, for seconds
_KILL_GRACE_S = 1
_LOGS_PATHS = (f"{STREAMS_PATH}/0", f"{STREAMS_PATH}/1")


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesOptions:
    """What holds for all Jobs beside the template: what a user may choose, and what the server knows."""

    gpu_resource: str = "nvidia.com/gpu"
    limits: bool = True  # what a step asks for is also the most that it may use
    node_tmp: bool = True  # the temporary directory is on the node's own disk instead of the shared volume
    start_timeout_s: float = 600.0
    image_grace_s: float = 20.0
    replacement_policy: bool = False  # the server knows `podReplacementPolicy`, which came with Kubernetes 1.29
    native_sidecars: bool = False  # and init containers that run beside the others, which did too


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPod:
    """All that makes one step's pod, beside the platform's part."""

    job: ContainerJob
    image: str
    entry_point: Sequence[str]
    mounts: Sequence[Mount]  # every source lies on the volume
    stdin: Mount | None
    user: str  # as uid:gid
    init_containers: Sequence[KubernetesObject] = ()  # bring the launcher, and what is not on a volume
    beside: Sequence[KubernetesObject] = ()  # take away what the step leaves, where that is on no volume
    disk_mib: float = 0.0  # of the node, beside the temporary directory
    owner: KubernetesObject | None = None  # with it the Job goes away
    annotations: Mapping[str, str] = field(default_factory=dict)  # of the Job alone


def step_manifest(
    step: StepPod, defaults: KubernetesDefaults, options: KubernetesOptions, *, storage: Storage, launcher: Launcher
) -> KubernetesObject:
    """Return the manifest of a step's Job.

    Raises:
        BackendError: Two mounts of different files share a path.
    """
    manifest = copy.deepcopy(defaults.manifest)
    spec = part(manifest, "spec")
    template = part(spec, "template")
    pod = part(template, "spec")
    _write_pod(pod, step, options, storage)
    containers = parts(pod, "containers")
    containers[0] = _container(containers[0], step, defaults, options, storage=storage, launcher=launcher)
    mounts, volumes = shown_directly(parts(containers[0], "volumeMounts"), storage, _own_targets(step))
    containers[0]["volumeMounts"] = [*mounts]
    first, *sidecars = containers
    if options.native_sidecars:
        pod["initContainers"] = [*parts(pod, "initContainers"), *as_native(sidecars)]
        sidecars = []
    pod["containers"] = [first, *sidecars, *_restricted(step.beside, pod, first, storage)]
    pod["volumes"] = [*parts(pod, "volumes"), *volumes]
    labels, annotations = labels_of(step.job, manifest), annotations_of(step.job, manifest)
    pod_metadata = part(template, "metadata")
    pod_labels = {**platform_labels(template), **labels}
    pod_annotations = {**part(pod_metadata, "annotations"), **annotations}
    template["metadata"] = {**pod_metadata, "labels": pod_labels, "annotations": pod_annotations}
    template["spec"] = pod
    _write_job_spec(spec, options)
    spec["template"] = template
    metadata: KubernetesObject = {
        "name": job_name(step.job.job_id),
        "namespace": defaults.namespace,
        "labels": labels,
        "annotations": {**annotations, **step.annotations},
    }
    if step.owner is not None:
        metadata["ownerReferences"] = [step.owner]
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def _write_job_spec(spec: KubernetesObject, options: KubernetesOptions) -> None:
    spec.update({"backoffLimit": 0, "parallelism": 1, "completions": 1})
    if options.replacement_policy:
        # A pod that is deleted may still run for its grace, beside the one in its place.
        # https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-replacement-policy
        spec["podReplacementPolicy"] = "Failed"
    _set_unless_stated(spec, "ttlSecondsAfterFinished", _DEFAULT_TTL_S)
    spec.pop("podFailurePolicy", None)


def _set_unless_stated(of: KubernetesObject, name: str, value: JsonValue) -> None:
    if of.get(name) is None:
        of[name] = value


def _write_pod(pod: KubernetesObject, step: StepPod, options: KubernetesOptions, storage: Storage) -> None:
    for misplaced in ("parallelism", "completions"):  # Prefect's own template has them here
        pod.pop(misplaced, None)
    pod["restartPolicy"] = "Never"
    pod["enableServiceLinks"] = False
    if step.job.timeout_s is not None:
        # The driver stops the call at its limit; this one holds where there is no driver any more. It begins on a node,
        # as that of a Job does not, so that no wait for one counts.
        pod["activeDeadlineSeconds"] = math.ceil(step.job.timeout_s + options.start_timeout_s)
    _set_unless_stated(pod, "automountServiceAccountToken", value=False)
    _set_unless_stated(pod, "terminationGracePeriodSeconds", _KILL_GRACE_S)
    security = part(pod, "securityContext")
    if "runAsUser" not in security:
        uid, _, gid = step.user.partition(":")
        security["runAsUser"] = int(uid)
        if gid:
            security.setdefault("runAsGroup", int(gid))
    security.setdefault("seccompProfile", {"type": "RuntimeDefault"})
    pod["securityContext"] = security
    volumes = [volume for volume in parts(pod, "volumes") if volume.get("name") != VOLUME_NAME]
    if storage.ephemeral:
        volumes = [volume for volume in volumes if not storage.is_shared(volume)]
    volumes.append({"name": VOLUME_NAME, **storage.volume})
    volumes += [_scratch(name, step.job.resources, options) for name in _scratch_targets(step, options)]
    if step.job.resources.shm_mib is not None:
        size = f"{math.ceil(step.job.resources.shm_mib)}Mi"
        volumes.append({"name": "cwl-prefect-shm", "emptyDir": {"medium": "Memory", "sizeLimit": size}})
    pod["volumes"] = [*volumes]
    if step.init_containers:
        own = _restricted(step.init_containers, pod, parts(pod, "containers")[0], storage)
        pod["initContainers"] = [*parts(pod, "initContainers"), *own]


def _restricted(
    containers: Sequence[KubernetesObject], pod: KubernetesObject, of_step: KubernetesObject, storage: Storage
) -> list[KubernetesObject]:
    """Return containers that prepare or clear the pod's volume, restricted; who owns it all is the step's own user."""
    security = part(of_step, "securityContext")
    found = [restricted(container, part(pod, "securityContext"), security) for container in containers]
    names = [name for name in ("runAsUser", "runAsGroup") if storage.ephemeral and name in security]
    user: KubernetesObject = {name: security[name] for name in names}
    return [{**container, "securityContext": {**part(container, "securityContext"), **user}} for container in found]


def _container(
    platform: KubernetesObject,
    step: StepPod,
    defaults: KubernetesDefaults,
    options: KubernetesOptions,
    *,
    storage: Storage,
    launcher: Launcher,
) -> KubernetesObject:
    container = {name: value for name, value in platform.items() if name not in ("args", "command", "livenessProbe")}
    mounts, streams = _mounts(step, options, storage)
    command = launched([*step.entry_point, *step.job.command], streams)
    kept = [mount for mount in parts(platform, "volumeMounts") if not defaults.shows(storage, mount)]
    security = part(platform, "securityContext")
    security.setdefault("readOnlyRootFilesystem", True)
    if not security.get("privileged"):
        security.setdefault("allowPrivilegeEscalation", False)
        security.setdefault("capabilities", {"drop": ["ALL"]})
    container.update(
        {
            "image": step.image,
            "command": [literal(word) for word in command],
            "workingDir": step.job.workdir,
            "env": [*environment(platform, step.job, defaults.env)],
            "resources": _resources(part(platform, "resources"), step, options),
            "volumeMounts": [*_unless_taken(kept, mounts), launcher.mount, *mounts],
            "securityContext": security,
            "stdin": False,
            "tty": False,
        }
    )
    container.setdefault("imagePullPolicy", "IfNotPresent")
    return container


def _resources(platform: KubernetesObject, step: StepPod, options: KubernetesOptions) -> KubernetesObject:
    job, asked = step.job, step.job.resources
    amounts: dict[str, JsonValue] = {
        "cpu": _cpu(max(asked.cores, _LEAST_CORES)),
        "memory": f"{math.ceil(asked.ram_mib)}Mi",
    }
    disk_mib = step.disk_mib + (asked.tmpdir_mib if options.node_tmp and _tmpdir(job) is not None else 0.0)
    if disk_mib:
        amounts["ephemeral-storage"] = f"{math.ceil(disk_mib)}Mi"
    devices: dict[str, JsonValue] = {options.gpu_resource: str(asked.gpus)} if asked.gpus else {}
    limits = {**amounts, "cpu": _cpu(max(asked.cores, _LEAST_CPU_LIMIT))} if options.limits else {}
    return {
        **platform,
        "requests": {**_stated(platform, "requests"), **amounts, **devices},
        "limits": {**_stated(platform, "limits"), **limits, **devices},
    }


def _cpu(cores: float) -> str:
    return f"{math.ceil(cores * 1000)}m"


def _stated(platform: KubernetesObject, kind: str) -> KubernetesObject:
    return {name: value for name, value in part(platform, kind).items() if value is not None}


def _tmpdir(job: ContainerJob) -> str | None:
    """Return the target of the call's temporary directory, which CWL names in TMPDIR."""
    stated = job.env.get("TMPDIR")
    return next((mount.target for mount in job.mounts if mount.writable and mount.target == stated), None)


def _scratch_targets(step: StepPod, options: KubernetesOptions) -> dict[str, str]:
    """Return the directories of a container that are empty at first and kept by nobody, by the name of their volume."""
    targets = {}
    tmpdir = _tmpdir(step.job)
    if options.node_tmp and tmpdir is not None:
        targets["cwl-prefect-tmpdir"] = tmpdir
    if "/tmp" not in {posixpath.normpath(mount.target) for mount in step.mounts}:  # noqa: S108 - in the container
        targets["cwl-prefect-tmp"] = "/tmp"  # noqa: S108 - in the container
    return targets


def _scratch(name: str, resources: Resources, options: KubernetesOptions) -> KubernetesObject:
    size: KubernetesObject = {"sizeLimit": f"{math.ceil(resources.tmpdir_mib)}Mi"} if options.limits else {}
    return {"name": name, "emptyDir": size}


def _mounts(step: StepPod, options: KubernetesOptions, storage: Storage) -> tuple[list[KubernetesObject], Streams]:
    on_volume, streams = shown(step, options)
    found = [storage.mount(mount.source, mount.target, writable=mount.writable) for mount in on_volume]
    found += [{"name": name, "mountPath": target} for name, target in _scratch_targets(step, options).items()]
    if step.job.resources.shm_mib is not None:
        found.append({"name": "cwl-prefect-shm", "mountPath": "/dev/shm"})  # noqa: S108 - in the container
    return found, streams


def shown(step: StepPod, options: KubernetesOptions) -> tuple[list[Mount], Streams]:
    """Return what a step's container sees of the volume, and where in that its streams are.

    Raises:
        BackendError: Two mounts of different files share a path.
    """
    scratch = _scratch_targets(step, options).values()
    chosen = outermost_first([mount for mount in step.mounts if mount.target not in scratch])
    found = [replace(mount, target=target) for target, mount in chosen.items()]
    seen: list[str] = []
    for place in (step.job.stdout, step.job.stderr):
        shows = writable_mount_of(place, found)
        if shows is None:  # with its directory both are seen, by one mount instead of two
            shows = Mount(source=place.parent, target=_LOGS_PATHS[len(seen)], writable=True)
            found.append(shows)
        seen.append(seen_inside(place, shows))
    if step.stdin is None:
        return found, Streams(stdin="/dev/null", stdout=seen[0], stderr=seen[1])
    stdin = Mount(source=step.stdin.source, target=f"{STREAMS_PATH}/stdin")
    return [*found, stdin], Streams(stdin=stdin.target, stdout=seen[0], stderr=seen[1])


def _own_targets(step: StepPod) -> set[str]:
    """Return where a step sees directories that the run made for it alone, in places that no tool writes to."""
    return {MOUNT_PATH, step.job.workdir, *_LOGS_PATHS}


def _unless_taken(kept: Sequence[KubernetesObject], mounts: Sequence[KubernetesObject]) -> list[KubernetesObject]:
    taken = {text(mount, "mountPath") for mount in mounts}
    return [mount for mount in kept if text(mount, "mountPath") not in taken]
