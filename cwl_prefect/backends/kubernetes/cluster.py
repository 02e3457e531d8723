"""A Kubernetes cluster that answers, and what holds for every Job that a run creates on it."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cwl_prefect._lib.own_files import make_private
from cwl_prefect.backends.job_template.configuration import import_worker
from cwl_prefect.backends.job_template.job_variables import JobVariables
from cwl_prefect.backends.kubernetes.api.client import KubernetesApi, RefusedError, connect
from cwl_prefect.backends.kubernetes.images.images import StepImages, inspect_here, logins
from cwl_prefect.backends.kubernetes.images.registry import Registries
from cwl_prefect.backends.kubernetes.launcher import Launcher
from cwl_prefect.backends.kubernetes.manifest.defaults import KubernetesDefaults, kubernetes_defaults
from cwl_prefect.backends.kubernetes.manifest.job import KubernetesOptions
from cwl_prefect.backends.kubernetes.manifest.links import Links
from cwl_prefect.backends.kubernetes.objects import KubernetesObject, part, parts, selector, text
from cwl_prefect.backends.kubernetes.sidecars import NATIVE
from cwl_prefect.backends.kubernetes.storage import (
    OWN_DIRECTORY,
    Imports,
    Storage,
    demand_storage,
    pod_storage,
    shared_storage,
)
from cwl_prefect.backends.kubernetes.transfers.transfers import Transfers, open_transfers
from cwl_prefect.environment import own_flow_run, own_pod
from cwl_prefect.settings import Settings

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient


PREFECT_FLOW_RUN_LABEL = "prefect.io/flow-run-id"
"""Label that workers give the pods of flow runs."""

_REPLACEMENT_POLICY = (1, 29)  # the first version with it that has it switched on


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster that answers, and what holds for every Job on it."""

    api: KubernetesApi
    defaults: KubernetesDefaults  # of a step without overrides; its namespace is that of all
    options: KubernetesOptions
    storage: Storage
    transfers: Transfers | None  # None: pods share the volume
    imports: Imports
    links: Links
    launcher: Launcher
    images: StepImages
    registries: Registries
    owner: KubernetesObject | None = None


async def open_cluster(
    settings: Settings, variables: JobVariables, *, client: "PrefectClient | None" = None
) -> Cluster:
    """Connect, merge the template and find the volume.

    Args:
        settings: Name the volume, the workspaces and what else a user may choose.
        variables: Job template of a Kubernetes work pool and the job variables over it.
        client: Resolves blocks and variables that the template refers to.

    Raises:
        BackendError: Kubernetes support is not installed, no cluster is configured or answers, the template is not
            valid, or no volume is shared with the cluster.
    """
    defaults = await defaults_of_all(variables, client=client)
    api = await connect(defaults.cluster)
    try:
        own = await _own_pod(api)
        transfers = open_transfers(settings)
        storage = await asyncio.to_thread(_storage, settings, defaults, own)
        secrets = await _pull_secrets(api, defaults)
        version = await api.version()
    except BaseException:
        await api.close()
        raise
    registries = Registries(logins(secrets))
    images = StepImages(registries, inspect_here, by_digest=settings.kubernetes_images_by_digest)
    return Cluster(
        api=api,
        defaults=defaults,
        options=_options_in(settings, version),
        storage=storage,
        transfers=transfers,
        imports=Imports(storage),
        links=Links(settings.runs.resolve() / OWN_DIRECTORY if storage.ephemeral else storage.path / OWN_DIRECTORY),
        launcher=Launcher(storage, settings.kubernetes_helper_image),
        images=images,
        registries=registries,
        owner=owning_job(own, defaults.namespace),
    )


def _options_in(settings: Settings, version: tuple[int, int]) -> KubernetesOptions:
    """Return what a user chooses for all Jobs, with what a cluster of this version knows."""
    return replace(
        options_of(settings), replacement_policy=version >= _REPLACEMENT_POLICY, native_sidecars=version >= NATIVE
    )


async def defaults_of_all(variables: JobVariables, *, client: "PrefectClient | None" = None) -> KubernetesDefaults:
    """Merge the template for steps without overrides, whose cluster and namespace are those of all.

    Args:
        variables: Job template of a Kubernetes work pool and the job variables over it.
        client: Resolves blocks and variables that the template refers to.

    Raises:
        BackendError: Kubernetes support is not installed, or the template is not valid.
    """
    await import_worker("Kubernetes")
    return await kubernetes_defaults(variables.for_step(""), client=client)


def options_of(settings: Settings) -> KubernetesOptions:
    """Return what the settings say about all Jobs."""
    return KubernetesOptions(
        gpu_resource=settings.kubernetes_gpu,
        limits=settings.kubernetes_limits,
        start_timeout_s=settings.kubernetes_start_timeout_s,
        image_grace_s=settings.kubernetes_image_grace_s,
    )


def _storage(settings: Settings, defaults: KubernetesDefaults, own: KubernetesObject | None) -> Storage:
    runs = settings.runs.resolve()
    make_private(runs)
    if settings.workspaces is not None:
        return pod_storage(runs, part(defaults.manifest, "spec", "template", "spec"))
    pods = [part(own or {}, "spec"), part(defaults.manifest, "spec", "template", "spec")]
    return demand_storage(shared_storage(settings, runs, pods), runs)


async def _own_pod(api: KubernetesApi) -> KubernetesObject | None:
    place = own_pod()
    if place is None:
        return None
    with suppress(RefusedError):
        return await api.pod(*place) or await _pod_of_flow_run(api, place[0])
    return None


async def _pod_of_flow_run(api: KubernetesApi, namespace: str) -> KubernetesObject | None:
    """Find the pod that a worker made for this flow run; None where that is not clear."""
    flow_run = own_flow_run()
    if flow_run is None:
        return None
    pods, _ = await api.pods(namespace, selector({PREFECT_FLOW_RUN_LABEL: flow_run}))
    running = [pod for pod in pods if text(pod, "status", "phase") == "Running"]
    return running[0] if len(running) == 1 else None


def owning_job(own: KubernetesObject | None, namespace: str) -> KubernetesObject | None:
    """Return the Job of a flow run's pod, as an owner: its end takes all steps along, in its own namespace only."""
    if own is None or text(own, "metadata", "namespace") != namespace:
        return None
    for owner in parts(own, "metadata", "ownerReferences"):
        if owner.get("kind") == "Job":
            kept = {name: owner[name] for name in ("apiVersion", "kind", "name", "uid")}
            return {**kept, "controller": False, "blockOwnerDeletion": False}
    return None


async def _pull_secrets(api: KubernetesApi, defaults: KubernetesDefaults) -> list[KubernetesObject]:
    pod = part(defaults.manifest, "spec", "template", "spec")
    names = [text(secret, "name") for secret in parts(pod, "imagePullSecrets")]
    found = await asyncio.gather(*(api.secret(defaults.namespace, name) for name in names))
    return [secret for secret in found if secret is not None]
