"""What backends hand over for one job, as data to show."""

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from pydantic import JsonValue

from cwl_prefect.backends.job_variables import StepVariables
from cwl_prefect.flows.pool import DOCKER, PROCESS, StepsPool
from cwl_prefect.model.job import ContainerJob
from cwl_prefect.settings import Settings

Configuration: TypeAlias = dict[str, JsonValue]
"""A container, Job or process, in the words of what runs it."""

Configure: TypeAlias = Callable[[StepVariables, ContainerJob], Awaitable[Configuration]]
"""Gives what a job becomes with the job variables of its step."""


def configurations(settings: Settings, pool: StepsPool | None) -> Mapping[str, Configure]:
    """Give, by what a job runs as, what makes its configuration; nothing is asked of any engine."""
    client = None if pool is None else pool.client

    async def docker(variables: StepVariables, job: ContainerJob) -> Configuration:
        from cwl_prefect.backends.template import container_settings, docker_defaults

        defaults = await docker_defaults(variables, client=client)
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

    async def process(_variables: StepVariables, job: ContainerJob) -> Configuration:
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

    return {DOCKER: docker, PROCESS: process}


def _plain(value: Mapping[str, object]) -> Configuration:
    """Give a configuration as JSON, without what is not set."""
    return {key: _json(item) for key, item in value.items() if item is not None and item not in ({}, [])}


def _json(value: object) -> JsonValue:
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(item) for item in value]
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
