"""What backends hand over for one job, as data to show."""

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pydantic import JsonValue

from cwl_prefect.backends.job_template.job_variables import JobVariables
from cwl_prefect.flows.execution.work_pool import DOCKER, KUBERNETES, PROCESS, StepsPool
from cwl_prefect.model.job import ContainerJob, Mount
from cwl_prefect.settings import Settings

if TYPE_CHECKING:
    from cwl_prefect.backends.kubernetes.manifest.defaults import KubernetesDefaults
    from cwl_prefect.backends.kubernetes.storage import Storage

UNKNOWN_VOLUME = "UNKNOWN"
"""Stands for the volume that is shared with pods, where neither settings nor template name it."""

Configuration: TypeAlias = dict[str, JsonValue]
"""A container, Job or process, in the words of what runs it."""

Configure: TypeAlias = Callable[[JobVariables, ContainerJob], Awaitable[Configuration]]
"""Gives what a job becomes with the job variables of all steps."""


def configurations(settings: Settings, pool: StepsPool | None, runs: Path) -> Mapping[str, Configure]:
    """Give, by what a job runs as, what makes its configuration; nothing is asked of any engine.

    Args:
        settings: Settings of the run.
        pool: Work pool whose template steps use.
        runs: Directory of all workspaces.
    """
    client = None if pool is None else pool.client

    async def docker(variables: JobVariables, job: ContainerJob) -> Configuration:
        """Make the settings of a container."""
        from cwl_prefect.backends.docker.template import container_settings, docker_defaults

        defaults = await docker_defaults(variables.for_step(job.name), client=client)
        made = container_settings(
            job,
            defaults,
            image=job.image.name if job.image is not None else "",
            user=f"{os.geteuid()}:{os.getegid()}",
            strict_limits=settings.strict_limits,
        )
        login = defaults.login and f"{defaults.login.username} at {defaults.login.registry_url}"
        more = {"image_pull_policy": defaults.pull_policy.value, "registry_login": login}
        further = list(defaults.networks[1:]) if job.network else []
        return _plain({**made, "further_networks": further or None, **more})

    async def kubernetes(variables: JobVariables, job: ContainerJob) -> Configuration:
        """Make the manifest of a Job."""
        from cwl_prefect.backends.kubernetes.manifest.defaults import kubernetes_defaults, step_defaults

        run = await kubernetes_defaults(variables.for_step(""), client=client)
        step = await step_defaults(variables.for_step(job.name), run, client=client)
        return _manifest(job, step, settings, _storage(settings, run, runs))

    return {DOCKER: docker, KUBERNETES: kubernetes, PROCESS: _process}


async def _process(_variables: JobVariables, job: ContainerJob) -> Configuration:
    return _plain(
        {
            "command": list(job.command),
            "environment": dict(job.env),
            "working_directory": job.workdir,
            "stdin": job.stdin and str(job.stdin),
            "stdout": str(job.stdout),
            "stderr": str(job.stderr),
            "time_limit_s": job.timeout_s,
        }
    )


def _storage(settings: Settings, run: "KubernetesDefaults", runs: Path) -> "Storage":
    """Return the volume of a run, as it finds it where it is no pod of the cluster itself.

    Raises:
        BackendError: The workspaces do not lie on it.
    """
    from cwl_prefect.backends.kubernetes.objects import part
    from cwl_prefect.backends.kubernetes.storage import Storage, holding, pod_storage, shared_storage

    template = part(run.manifest, "spec", "template", "spec")
    if settings.workspaces is not None:
        return pod_storage(runs, template)
    found = shared_storage(settings, runs, [template])
    if found is None:
        return Storage(volume={"persistentVolumeClaim": {"claimName": UNKNOWN_VOLUME}}, path=runs)
    return holding(found, runs)


def _manifest(
    job: ContainerJob, defaults: "KubernetesDefaults", settings: Settings, storage: "Storage"
) -> Configuration:
    from cwl_prefect.backends.kubernetes.cluster import options_of
    from cwl_prefect.backends.kubernetes.launcher import Launcher
    from cwl_prefect.backends.kubernetes.manifest.job import StepPod, step_manifest
    from cwl_prefect.backends.kubernetes.objects import job_name
    from cwl_prefect.backends.kubernetes.storage import OWN_DIRECTORY
    from cwl_prefect.backends.kubernetes.transfers.transfers import open_transfers

    def brought(mount: Mount) -> Mount:
        """Mount a file that pods do not see on their volume from where it would be copied to."""
        inside = storage.path / OWN_DIRECTORY / "inputs" / mount.source.name
        return mount if storage.holds(mount.source) else replace(mount, source=inside)

    step = StepPod(
        job=job,
        image=job.image.name if job.image is not None else "",
        entry_point=defaults.entry_point or (),
        mounts=[brought(mount) for mount in job.mounts],
        stdin=None if job.stdin is None else brought(Mount(source=job.stdin, target="")),
        user=job.user or f"{os.geteuid()}:{os.getegid()}",
    )
    launcher = Launcher(storage, settings.kubernetes_helper_image)
    transfers = open_transfers(settings)
    if transfers is not None:
        step = transfers.placed(step, job_name(job.job_id))
    return dict(step_manifest(step, defaults, options_of(settings), storage=storage, launcher=launcher))


def _plain(value: Mapping[str, object]) -> Configuration:
    """Return a configuration as JSON, without what is not set."""
    return {key: _json(item) for key, item in value.items() if item is not None and item not in ({}, [])}


def _json(value: object) -> JsonValue:
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(item) for item in value]
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
