"""From a Kubernetes pool's job template to the manifest of a step's Job.

The four layers are those of :mod:`cwl_prefect.backends.template`. What the platform decides survives untouched:
tolerations, affinity, node selectors, runtime class, security contexts, service account, pull secrets, sidecars, init
containers, volumes, environment taken from elsewhere (``valueFrom``), annotations and labels. A step alone decides
command, image, environment, resources and streams; no variable and no label of Prefect reaches it.
"""

import copy
import math
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from pydantic import JsonValue

from cwl_prefect.backends.job_variables import StepVariables
from cwl_prefect.backends.kubernetes_credentials import ClusterConfig
from cwl_prefect.backends.kubernetes_environment import environment, environment_digest, literal
from cwl_prefect.backends.kubernetes_images import stated_entry_point
from cwl_prefect.backends.kubernetes_labels import annotations_of, labels_of, platform_labels, spell_labels
from cwl_prefect.backends.kubernetes_launcher import MOUNT_PATH, STREAMS_PATH, Launcher, Streams, launched, restricted
from cwl_prefect.backends.kubernetes_objects import KubernetesObject, job_name, part, parts, text
from cwl_prefect.backends.kubernetes_storage import (
    VOLUME_NAME,
    Storage,
    same_volume,
    seen_inside,
    shown_directly,
    writable_mount_of,
)
from cwl_prefect.backends.template import STEP_IMAGE, merged_configuration, outermost_first
from cwl_prefect.backends.tool_environment import tool_environment
from cwl_prefect.errors import BackendError
from cwl_prefect.model.job import ContainerJob, Mount, Resources

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

_POD_MEMBERS = {"node_selector": "nodeSelector", "tolerations": "tolerations"}
"""Where a pod has what steps may be given although the template has no such variable."""

_DEFAULT_TTL_S = 3600
_LEAST_CORES = 0.001
_LEAST_CPU_LIMIT = 0.2  # what starts a container runs under its limit too: with a hundredth of a core, for seconds
_KILL_GRACE_S = 1
_LOGS_PATHS = (f"{STREAMS_PATH}/0", f"{STREAMS_PATH}/1")


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesDefaults:
    """What the platform decides for every Job of a run."""

    namespace: str
    manifest: KubernetesObject
    env: Mapping[str, str] = field(default_factory=dict)
    entry_point: tuple[str, ...] | None = None  # None: nobody states it
    cluster: ClusterConfig | None = None  # None: the one that this process runs in, or that of the kubeconfig

    def environment_digest(self, storage: Storage) -> str:
        """What of the platform can change what a tool gives, as a digest: environment, entry point and volumes."""
        pod = part(self.manifest, "spec", "template", "spec")
        container = parts(pod, "containers")[0]
        volumes = {text(volume, "name"): volume for volume in parts(pod, "volumes")}
        mounts = [mount for mount in parts(container, "volumeMounts") if not _shows_storage(mount, self, storage)]
        shown = [{**mount, "volume": volumes.get(text(mount, "name"))} for mount in mounts]
        return environment_digest(container, self.env, self.entry_point, shown)

    @property
    def architecture(self) -> str:
        """Kind of processor that the pod's node selector names, empty where it names none.

        The digest of an image for several kinds stands for all of them.
        """
        return text(self.manifest, "spec", "template", "spec", "nodeSelector", "kubernetes.io/arch")


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesOptions:
    """What holds for all Jobs beside the template: what a user may choose, and what the server knows."""

    gpu_resource: str = "nvidia.com/gpu"
    limits: bool = True  # what a step asks for is also the most that it may use
    node_tmp: bool = True  # the temporary directory is on the node's own disk instead of the shared volume
    start_timeout_s: float = 600.0
    image_grace_s: float = 20.0
    replacement_policy: bool = False  # the server knows `podReplacementPolicy`, which came with Kubernetes 1.29


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPod:
    """All that makes one step's pod, beside the platform's part."""

    job: ContainerJob
    image: str
    entry_point: Sequence[str]
    mounts: Sequence[Mount]  # every source lies on the volume
    stdin: Mount | None
    user: str  # as uid:gid
    init_container: KubernetesObject | None = None  # brings the launcher
    owner: KubernetesObject | None = None  # with it the Job goes away
    annotations: Mapping[str, str] = field(default_factory=dict)  # of the Job alone


async def kubernetes_defaults(step: StepVariables, *, client: "PrefectClient | None" = None) -> KubernetesDefaults:
    """Let Prefect merge a Kubernetes pool's template with job variables, and take from it what the platform decides.

    Args:
        step: Template and job variables that apply to a step.
        client: Resolves blocks and variables that the template refers to; None where it refers to none.

    Raises:
        BackendError: The template and variables make no valid configuration.
    """
    from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

    merged = await merged_configuration(KubernetesWorkerJobConfiguration, step, client)
    manifest = cast("KubernetesObject", merged.job_manifest)
    pod = part(manifest, "spec", "template", "spec")
    if not parts(pod, "containers"):
        raise BackendError(
            "the work pool's job template has no container", hint="give its job manifest one, which becomes the step's"
        )
    for variable, member in _POD_MEMBERS.items():
        if variable in step.values and not _has_variable(step.template, variable):
            pod[member] = step.values[variable]
    spell_labels(manifest, merged.labels, merged.annotations)
    spell_labels(part(manifest, "spec", "template"), {}, {})
    _keep_the_flow_run_s_image(pod)
    return KubernetesDefaults(
        namespace=merged.namespace,
        manifest=manifest,
        env=tool_environment(merged.env if isinstance(merged.env, dict) else {}),
        entry_point=stated_entry_point(step),
        cluster=cast("ClusterConfig | None", merged.cluster_config),
    )


async def step_defaults(
    step: StepVariables, run: KubernetesDefaults, *, client: "PrefectClient | None" = None
) -> KubernetesDefaults:
    """Merge the template for a step with overrides; its namespace is that of all, where the run's one watch is.

    Args:
        step: Template and job variables that apply to the step.
        run: What holds for steps without overrides.
        client: Resolves blocks and variables that the template refers to; None where it refers to none.

    Raises:
        BackendError: The template and variables make no valid configuration.
    """
    return replace(await kubernetes_defaults(step, client=client), namespace=run.namespace)


def _keep_the_flow_run_s_image(pod: KubernetesObject) -> None:
    """Leave the flow run's image to the other containers of a pod that name it; the first has the step's own.

    Raises:
        BackendError: One names it, and nobody gives one.
    """
    first, *others = parts(pod, "containers")
    first["image"] = STEP_IMAGE
    for container in [*parts(pod, "initContainers"), *others]:
        if STEP_IMAGE in text(container, "image"):
            raise BackendError(
                f"the container {text(container, 'name')} of the work pool's job template has the image "
                "{{ image }}, and none is given",
                hint="give the pool or the deployment the job variable image, or write an image into the template",
            )


def _has_variable(template: Mapping[str, JsonValue], name: str) -> bool:
    return name in part(template, "variables", "properties")


def without_volumes(template: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Give a job template without any volume of its own."""
    changed = copy.deepcopy(dict(template))
    pod = part(changed, "job_configuration", "job_manifest", "spec", "template", "spec")
    pod.pop("volumes", None)
    for container in parts(pod, "containers"):
        container.pop("volumeMounts", None)
    return changed


def step_manifest(
    step: StepPod, defaults: KubernetesDefaults, options: KubernetesOptions, *, storage: Storage, launcher: Launcher
) -> KubernetesObject:
    """Give the manifest of a step's Job.

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
    containers[0]["volumeMounts"] = cast("JsonValue", mounts)
    pod["containers"] = cast("JsonValue", containers)
    pod["volumes"] = cast("JsonValue", [*parts(pod, "volumes"), *volumes])
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
    volumes.append({"name": VOLUME_NAME, **storage.volume})
    volumes += [_scratch(name, step.job.resources, options) for name in _scratch_targets(step, options)]
    if step.job.resources.shm_mib is not None:
        size = f"{math.ceil(step.job.resources.shm_mib)}Mi"
        volumes.append({"name": "cwl-prefect-shm", "emptyDir": {"medium": "Memory", "sizeLimit": size}})
    pod["volumes"] = cast("JsonValue", volumes)
    if step.init_container is not None:
        own = restricted(step.init_container, security, part(parts(pod, "containers")[0], "securityContext"))
        pod["initContainers"] = cast("JsonValue", [*parts(pod, "initContainers"), own])


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
    kept = [mount for mount in parts(platform, "volumeMounts") if not _shows_storage(mount, defaults, storage)]
    security = part(platform, "securityContext")
    security.setdefault("readOnlyRootFilesystem", True)
    if not security.get("privileged"):
        security.setdefault("allowPrivilegeEscalation", False)
        if not step.user.startswith("0"):
            security.setdefault("capabilities", {"drop": ["ALL"]})
    container.update(
        {
            "image": step.image,
            "command": [literal(word) for word in command],
            "workingDir": step.job.workdir,
            "env": cast("JsonValue", environment(platform, step.job, defaults.env)),
            "resources": _resources(part(platform, "resources"), step.job, options),
            "volumeMounts": cast("JsonValue", [*_unless_taken(kept, mounts), launcher.mount, *mounts]),
            "securityContext": security,
            "stdin": False,
            "tty": False,
        }
    )
    container.setdefault("imagePullPolicy", "IfNotPresent")
    return container


def _resources(platform: KubernetesObject, job: ContainerJob, options: KubernetesOptions) -> KubernetesObject:
    asked = job.resources
    amounts: dict[str, JsonValue] = {
        "cpu": _cpu(max(asked.cores, _LEAST_CORES)),
        "memory": f"{math.ceil(asked.ram_mib)}Mi",
    }
    if _has_node_tmp(job, options):
        amounts["ephemeral-storage"] = f"{math.ceil(asked.tmpdir_mib)}Mi"
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


def _has_node_tmp(job: ContainerJob, options: KubernetesOptions) -> bool:
    return options.node_tmp and _tmpdir(job) is not None


def _tmpdir(job: ContainerJob) -> str | None:
    """Give the target of the call's temporary directory, which CWL names in TMPDIR."""
    stated = job.env.get("TMPDIR")
    return next((mount.target for mount in job.mounts if mount.writable and mount.target == stated), None)


def _scratch_targets(step: StepPod, options: KubernetesOptions) -> dict[str, str]:
    """Give the directories of a container that are empty at first and kept by nobody, by the name of their volume."""
    targets = {}
    tmpdir = _tmpdir(step.job)
    if options.node_tmp and tmpdir is not None:
        targets["cwl-prefect-tmpdir"] = tmpdir
    if "/tmp" not in {posixpath.normpath(mount.target) for mount in step.mounts}:  # noqa: S108 - in the container
        targets["cwl-prefect-tmp"] = "/tmp"  # noqa: S108 - in the container
    return targets


def _scratch(name: str, resources: Resources, options: KubernetesOptions) -> KubernetesObject:
    size = {"sizeLimit": f"{math.ceil(resources.tmpdir_mib)}Mi"} if options.limits else {}
    return {"name": name, "emptyDir": cast("JsonValue", size)}


def _mounts(step: StepPod, options: KubernetesOptions, storage: Storage) -> tuple[list[KubernetesObject], Streams]:
    scratch = _scratch_targets(step, options)
    chosen = outermost_first([mount for mount in step.mounts if mount.target not in scratch.values()])
    found = [storage.mount(chosen[target].source, target, writable=chosen[target].writable) for target in chosen]
    found += [{"name": name, "mountPath": target} for name, target in scratch.items()]
    if step.job.resources.shm_mib is not None:
        found.append({"name": "cwl-prefect-shm", "mountPath": "/dev/shm"})  # noqa: S108 - in the container
    shown = list(chosen.values())
    seen: list[str] = []
    for place in (step.job.stdout, step.job.stderr):
        shows = writable_mount_of(place, shown)
        if shows is None:  # with its directory both are seen, by one mount instead of two
            shows = Mount(source=place.parent, target=_LOGS_PATHS[len(seen)], writable=True)
            shown.append(shows)
            found.append(storage.mount(shows.source, shows.target, writable=True))
        seen.append(seen_inside(place, shows))
    stdin = "/dev/null"
    if step.stdin is not None:
        stdin = f"{STREAMS_PATH}/stdin"
        found.append(storage.mount(step.stdin.source, stdin, writable=False))
    return found, Streams(stdin=stdin, stdout=seen[0], stderr=seen[1])


def _own_targets(step: StepPod) -> set[str]:
    """Give where a step sees directories that the run made for it alone, in places that no tool writes to."""
    return {MOUNT_PATH, step.job.workdir, *_LOGS_PATHS}


def _shows_storage(mount: KubernetesObject, defaults: KubernetesDefaults, storage: Storage) -> bool:
    """Tell whether a mount of the template shows the whole shared volume: steps see their own files only."""
    volumes = {
        text(volume, "name"): volume for volume in parts(defaults.manifest, "spec", "template", "spec", "volumes")
    }
    volume = {name: value for name, value in volumes.get(text(mount, "name"), {}).items() if name != "name"}
    return same_volume(volume, storage.volume)


def _unless_taken(kept: Sequence[KubernetesObject], mounts: Sequence[KubernetesObject]) -> list[KubernetesObject]:
    taken = {text(mount, "mountPath") for mount in mounts}
    return [mount for mount in kept if text(mount, "mountPath") not in taken]
