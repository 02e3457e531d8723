"""What a Kubernetes pool's job template and its variables decide for the Jobs of all steps, or of one."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pydantic import JsonValue

from cwl_prefect.backends.job_template.configuration import STEP_IMAGE, merged_configuration
from cwl_prefect.backends.job_template.job_variables import StepVariables
from cwl_prefect.backends.job_template.tool_environment import tool_environment
from cwl_prefect.backends.kubernetes.api.credentials import ClusterConfig
from cwl_prefect.backends.kubernetes.images.images import stated_entry_point
from cwl_prefect.backends.kubernetes.manifest.environment import environment_digest
from cwl_prefect.backends.kubernetes.manifest.labels import spell_labels
from cwl_prefect.backends.kubernetes.objects import KubernetesObject, part, parts, text
from cwl_prefect.backends.kubernetes.storage import Storage
from cwl_prefect.errors import BackendError

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

_POD_MEMBERS = {"node_selector": "nodeSelector", "tolerations": "tolerations"}
"""Where a pod has what steps may be given although the template has no such variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesDefaults:
    """What the platform decides for every Job of a run."""

    namespace: str
    manifest: KubernetesObject
    env: Mapping[str, str] = field(default_factory=dict)
    entry_point: tuple[str, ...] | None = None  # None: nobody states it
    cluster: ClusterConfig | None = None  # None: the one that this process runs in, or that of the kubeconfig

    def environment_digest(self, storage: Storage) -> str:
        """Return what of the platform can change what a tool gives, as a digest: environment, entry point, volumes."""
        pod = part(self.manifest, "spec", "template", "spec")
        container = parts(pod, "containers")[0]
        volumes = {text(volume, "name"): volume for volume in parts(pod, "volumes")}
        mounts = [mount for mount in parts(container, "volumeMounts") if not self.shows(storage, mount)]
        shown = [{**mount, "volume": volumes.get(text(mount, "name"))} for mount in mounts]
        return environment_digest(container, self.env, self.entry_point, shown)

    def shows(self, storage: Storage, mount: KubernetesObject) -> bool:
        """Check whether a mount of the template shows the whole shared volume: steps see their own files only."""
        volumes = parts(self.manifest, "spec", "template", "spec", "volumes")
        return storage.is_shared(next((volume for volume in volumes if volume.get("name") == mount.get("name")), {}))

    @property
    def pull_policy(self) -> str:
        """When nodes pull the image of a step, empty where the template does not say."""
        containers = parts(self.manifest, "spec", "template", "spec", "containers")
        return text(containers[0], "imagePullPolicy") if containers else ""

    @property
    def architecture(self) -> str:
        """Kind of processor that the pod's node selector names, empty where it names none.

        The digest of an image for several kinds stands for all of them.
        """
        return text(self.manifest, "spec", "template", "spec", "nodeSelector", "kubernetes.io/arch")


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
    manifest: KubernetesObject = merged.job_manifest
    pod = part(manifest, "spec", "template", "spec")
    if not parts(pod, "containers"):
        raise BackendError(
            "the work pool's job template has no container", hint="give its job manifest one, which becomes the step's"
        )
    declared = part(step.template, "variables", "properties")
    for variable, member in _POD_MEMBERS.items():
        if variable in step.values and variable not in declared:
            pod[member] = step.values[variable]
    spell_labels(manifest, merged.labels, merged.annotations)
    spell_labels(part(manifest, "spec", "template"), {}, {})
    _keep_the_flow_run_s_image(pod)
    return KubernetesDefaults(
        namespace=merged.namespace,
        manifest=manifest,
        env=tool_environment(merged.env if isinstance(merged.env, dict) else {}),
        entry_point=stated_entry_point(step),
        cluster=merged.cluster_config,
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


def without_volumes(template: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return a job template without any volume of its own."""
    changed = copy.deepcopy(dict(template))
    pod = part(changed, "job_configuration", "job_manifest", "spec", "template", "spec")
    pod.pop("volumes", None)
    for container in parts(pod, "containers"):
        container.pop("volumeMounts", None)
    return changed
