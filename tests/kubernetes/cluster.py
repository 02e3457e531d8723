"""The cluster that tests use, and how."""

import asyncio
import copy
import json
import os
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from cwl_prefect.backends.job_template.job_variables import JobVariables, packaged_template
from cwl_prefect.backends.kubernetes.api.client import connect
from cwl_prefect.backends.kubernetes.manifest.defaults import without_volumes
from cwl_prefect.backends.kubernetes.objects import job_name
from cwl_prefect.errors import BackendError
from cwl_prefect.model.job import ContainerJob, JobOutcome, Resources
from cwl_prefect.settings import Settings

VARIABLES = JobVariables(template=without_volumes(packaged_template("kubernetes")))
SMALL = Resources(cores=0.01, ram_mib=32, tmpdir_mib=1)
BEGUN_S = 120.0
HELPER_IMAGE = os.environ.get("CWL_PREFECT_TEST_HELPER_IMAGE", "busybox:1.35")


@cache
def problem() -> str | None:
    """Tell why no cluster can be used, or None where one answers."""
    return asyncio.run(_problem())


def cluster_settings(volume: Path, **changed: object) -> Settings:
    """Give settings for a directory that the cluster's nodes share with this machine."""
    stated: dict[str, object] = {
        "home": volume / "home",
        "workdir": volume,
        "kubernetes_volume": f"hostPath:{volume}",
        "kubernetes_helper_image": HELPER_IMAGE,
        "kubernetes_image_grace_s": 3,
    }
    return Settings.model_validate(stated | changed)


def with_template(change: Callable[[dict], None]) -> JobVariables:
    """Give the template of the tests with a change to its Job."""
    template = copy.deepcopy(dict(VARIABLES.template))
    change(template["job_configuration"]["job_manifest"]["spec"])
    return JobVariables(template=template)


async def wrote(job: ContainerJob, expected: bytes, running: "asyncio.Task[JobOutcome]") -> None:
    """Wait until a call that runs wrote something to its standard output; how long a pod takes to begin is no promise.

    Raises:
        AssertionError: It ended, wrote something else, or wrote nothing for a long time; says how its pods are.
    """
    deadline = time.monotonic() + BEGUN_S
    while (found := job.stdout.read_bytes() if job.stdout.exists() else b"") != expected:
        late = time.monotonic() > deadline
        if late or running.done() or not expected.startswith(found):
            raise AssertionError(f"wrote {found!r}; running: {running!r}; pods: {await _pods(job)}")
        await asyncio.sleep(0.05)


async def _pods(job: ContainerJob) -> str:
    api = await connect()
    try:
        pods, _ = await api.pods("default", f"job-name={job_name(job.job_id)}")
        return json.dumps([pod["status"] for pod in pods])
    finally:
        await api.close()


async def _problem() -> str | None:
    try:
        api = await connect()
    except BackendError as error:
        return str(error)
    try:
        async with asyncio.timeout(10):
            await api.pods("default", "no-such-label")
    except (BackendError, TimeoutError) as error:
        return f"no Kubernetes cluster answers ({error})"
    finally:
        await api.close()
    return None
