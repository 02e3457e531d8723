"""From a Docker work pool's job template to a step's container.

Prefect merges the pool's template with the job variables of a step (:func:`docker_defaults`), once for all steps with
the same variables (see :mod:`cwl_prefect.backends.job_template.job_variables`); what the step itself requires is
written onto the result (:func:`container_settings`). What the platform decides (networks, volumes, environment,
registry logins, labels, extra hosts, ulimits) survives. A step alone decides command, image, streams and whether it may
use a network, so that no API key and no command of a flow run ever reaches a tool.
"""

import hashlib
import json
import math
import os
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from cwl_prefect.backends.docker.images import PullPolicy
from cwl_prefect.backends.docker.registry_login import RegistryLogin
from cwl_prefect.backends.job_template.configuration import merged_configuration
from cwl_prefect.backends.job_template.job_variables import StepVariables, packaged_template, template_default
from cwl_prefect.backends.job_template.mounts import outermost_first
from cwl_prefect.backends.job_template.tool_environment import tool_environment
from cwl_prefect.backends.naming import job_labels, resource_name
from cwl_prefect.errors import BackendError
from cwl_prefect.model.job import ContainerJob, Mount, Resources

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect_docker.worker import DockerWorkerJobConfiguration

NO_NEW_PRIVILEGES = "no-new-privileges"
MAX_PROCESSES = 4096
"""Processes and threads of a container, unless its pool says otherwise: far above tools, far below a machine's."""

_SOCKET = ".sock"  # the flow run drives the engine; a tool that could would own the machine
_MIB = 1 << 20
_LEAST_MEMORY_MIB = 6  # engines refuse less
_LEAST_CORES = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerDefaults:
    """What the platform decides for every container of a run."""

    networks: tuple[str, ...] = ()
    network_mode: str | None = None  # None: the engine's default network, for a step that may use one
    volumes: tuple[str, ...] = ()
    mounts: tuple[Mapping[str, JsonValue], ...] = ()  # as the engine's API names their members
    env: Mapping[str, str] = field(default_factory=dict)  # under what the step's tool is given
    labels: Mapping[str, str] = field(default_factory=dict)
    mem_limit: str | None = None
    memswap_limit: str | None = None
    privileged: bool = False
    pull_policy: PullPolicy = PullPolicy.IF_NOT_PRESENT
    login: RegistryLogin | None = None
    create_settings: Mapping[str, JsonValue] = field(default_factory=dict)  # as the Docker SDK names them

    def environment_digest(self, workspaces: Path | None) -> str | None:
        """What of the platform can change what a tool gives, as a digest; None where there is nothing of the kind.

        Args:
            workspaces: Directory of all workspaces: what holds it is not shown to tools as it is.
        """
        files = [] if workspaces is None else [workspaces.absolute()]
        packaged = template_default(packaged_template("docker"), "volumes")
        own = packaged if isinstance(packaged, list) else []
        further = {
            "volumes": sorted(each for each in self.volumes if each not in own and not _holds(_source(each), files)),
            "mounts": [dict(mount) for mount in self.mounts if not _holds(str(mount.get("Source")), files)],
            "settings": dict(self.create_settings),
        }
        given = {name: value for name, value in further.items() if value}
        if not self.env and not given:
            return None
        told = json.dumps([dict(self.env), given] if given else self.env, sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()


async def docker_defaults(step: StepVariables, *, client: "PrefectClient | None" = None) -> DockerDefaults:
    """Let Prefect merge a Docker pool's template with job variables, and take from it what the platform decides.

    Args:
        step: Template and job variables that apply to a step.
        client: Resolves blocks and variables that the template refers to; None where it refers to none.

    Raises:
        BackendError: The template and variables make no valid configuration.
    """
    from prefect_docker.worker import DockerWorkerJobConfiguration

    merged = await merged_configuration(DockerWorkerJobConfiguration, step, client)
    # As Prefect does: what has a variable of its own is ignored among them.
    settings: dict[str, JsonValue] = {
        name: value
        for name, value in (merged.container_create_kwargs or {}).items()
        if name not in DockerWorkerJobConfiguration.model_fields
    }
    return DockerDefaults(
        networks=tuple(merged.networks),
        network_mode=merged.network_mode,
        volumes=tuple(_own_volumes(merged.volumes)),
        mounts=tuple(_own_mounts(settings.pop("mounts", None))),
        env=tool_environment(merged.env),
        labels=dict(merged.labels),
        mem_limit=merged.mem_limit,
        memswap_limit=merged.memswap_limit,
        privileged=merged.privileged,
        pull_policy=PullPolicy(merged.image_pull_policy or PullPolicy.IF_NOT_PRESENT),
        login=_login(merged),
        create_settings=settings,
    )


def _login(merged: "DockerWorkerJobConfiguration") -> RegistryLogin | None:
    credentials = merged.registry_credentials
    if credentials is None:
        return None
    return RegistryLogin(
        username=credentials.username,
        password=credentials.password.get_secret_value(),
        registry_url=credentials.registry_url,
    )


def _own_volumes(volumes: Iterable[str]) -> Iterable[str]:
    """Return a pool's volumes for steps: without the engine's socket, and with relative paths made absolute."""
    for volume in volumes:
        source, separator, rest = volume.partition(":")
        if source.endswith(_SOCKET):
            continue
        yield f"{Path(source).absolute()}{separator}{rest}" if source.startswith(".") and separator else volume


def _own_mounts(mounts: JsonValue) -> Iterable[Mapping[str, JsonValue]]:
    """Return a pool's mounts for steps, without the engine's socket.

    Raises:
        BackendError: They are no list of mounts.
    """
    if mounts is None:
        return
    if not isinstance(mounts, list) or not all(isinstance(mount, dict) and "Target" in mount for mount in mounts):
        raise BackendError(
            "container_create_kwargs: mounts is no list of mounts with a Target",
            hint='write it as [{"Type": "bind", "Source": "/data", "Target": "/data", "ReadOnly": true}]',
        )
    for mount in mounts:
        if isinstance(mount, dict) and not str(mount.get("Source")).endswith(_SOCKET):
            yield mount


def container_settings(
    job: ContainerJob,
    defaults: DockerDefaults,
    *,
    image: str,
    user: str,
    strict_limits: bool = False,
    log_config: Mapping[str, JsonValue] | None = None,
) -> dict[str, object]:
    """Return what to create a step's container with, in the words of the Docker SDK's ``containers.create``.

    Args:
        job: The step's call.
        defaults: What the platform decides.
        image: Name or digest under which the engine has the image.
        user: User and group where neither job nor platform names one.
        strict_limits: Whether the cores and memory that the step asks for are also the most it may use.
        log_config: What the engine keeps of the streams; nothing where none is given, since they are attached.

    Raises:
        BackendError: Two mounts of different files share a path.
    """
    limits = _limits(job.resources) if strict_limits else {}
    return {
        "read_only": True,
        "use_config_proxy": False,  # would add variables of the driver's user
        "user": user,
        **_least_rights(defaults),
        **_platform(job, defaults),
        **_step(job, defaults, image),
        "log_config": dict(log_config or {"type": "none"}),
        **_network(job, defaults),
        **_devices(job.resources),
        **limits,
    }


def _least_rights(defaults: DockerDefaults) -> dict[str, object]:
    """Return what keeps a tool from more rights than its user's; a pool that says ``privileged`` wants none of it."""
    if defaults.privileged:
        return {}
    return {"cap_drop": ["ALL"], "security_opt": [NO_NEW_PRIVILEGES], "pids_limit": MAX_PROCESSES}


def _platform(job: ContainerJob, defaults: DockerDefaults) -> dict[str, object]:
    members = {
        "mem_limit": defaults.mem_limit,
        "memswap_limit": defaults.memswap_limit,
        "volumes": [volume for volume in defaults.volumes if not _holds_files_of(job, _source(volume))] or None,
        "privileged": defaults.privileged or None,
    }
    settings: dict[str, object] = {
        **defaults.create_settings,
        **{name: value for name, value in members.items() if value is not None},
    }
    options = settings.get("security_opt")
    if isinstance(options, list) and not any(NO_NEW_PRIVILEGES in str(option) for option in options):
        settings["security_opt"] = [*options, NO_NEW_PRIVILEGES]  # a profile of a pool's own takes nothing else away
    return settings


def _platform_mounts(job: ContainerJob, defaults: DockerDefaults) -> list[dict[str, JsonValue]]:
    """Return a pool's mounts by the same rules as its volumes; where both mount something, the job wins."""
    taken = {posixpath.normpath(mount.target) for mount in job.mounts}
    return [
        dict(mount)
        for mount in defaults.mounts
        if posixpath.normpath(str(mount["Target"])) not in taken and not _holds_files_of(job, str(mount.get("Source")))
    ]


def _source(volume: str) -> str:
    return volume.partition(":")[0]


def _holds_files_of(job: ContainerJob, source: str) -> bool:
    """Check whether a volume holds what the job mounts anyway: then the job sees its own files only."""
    return _holds(source, [mount.source for mount in job.mounts])


def _holds(source: str, files: Iterable[Path]) -> bool:
    return source.startswith("/") and any(file.is_relative_to(source) for file in files)


def _step(job: ContainerJob, defaults: DockerDefaults, image: str) -> dict[str, object]:
    settings: dict[str, object] = {
        "name": resource_name(job.job_id),
        "image": image,
        "command": list(job.command),
        "environment": {**defaults.env, **job.env},
        "working_dir": job.workdir,
        "labels": job_labels(job, defaults.labels),
        "mounts": [*_platform_mounts(job, defaults), *docker_mounts(job.mounts)],
        "stdin_open": job.stdin is not None,
        "tty": False,
        "detach": False,
        "auto_remove": False,  # would take the exit code with it
        "healthcheck": {"test": ["NONE"]},
    }
    return settings if job.user is None else {**settings, "user": job.user}


def _network(job: ContainerJob, defaults: DockerDefaults) -> dict[str, object]:
    if not job.network:
        return {"network_mode": "none", "network": None}
    if defaults.networks:
        return {"network": defaults.networks[0], "network_mode": None}
    return {"network_mode": defaults.network_mode, "network": None}


def _devices(resources: Resources) -> dict[str, object]:
    settings: dict[str, object] = {}
    if resources.shm_mib is not None:
        settings["shm_size"] = math.ceil(resources.shm_mib * _MIB)
    if resources.gpus > 0:
        settings["device_requests"] = [{"count": resources.gpus, "capabilities": [["gpu"]]}]
    return settings


def _limits(resources: Resources) -> dict[str, object]:
    memory = math.ceil(max(resources.ram_mib, _LEAST_MEMORY_MIB) * _MIB)
    return {
        "mem_limit": memory,
        "memswap_limit": memory,  # no swap on top
        "nano_cpus": math.ceil(max(resources.cores, _LEAST_CORES) * 1e9),
    }


def docker_mounts(mounts: Iterable[Mount]) -> list[dict[str, JsonValue]]:
    """Return mounts as the engine's API names their members: each path once, outer directories before what lies inside.

    Paths may hold any character, since no part of them is parsed.

    Raises:
        BackendError: Two mounts of different files share a path.
    """
    return [
        {
            "Target": target,
            "Source": os.fspath(mount.source.absolute()),
            "Type": "bind",
            "ReadOnly": not mount.writable,
        }
        for target, mount in outermost_first(mounts).items()
    ]
