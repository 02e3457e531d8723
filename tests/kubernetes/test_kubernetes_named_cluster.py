"""Steps on a cluster that only a work pool names, by a block of Prefect: their driver knows no cluster by itself."""

import copy
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cwl_prefect.backends.kubernetes.api.client import KubernetesApi
from cwl_prefect.backends.naming import FLOW_RUN_LABEL
from tests.commandline.driving import CommandLine
from tests.kubernetes.cluster import VARIABLES
from tests.prefect_api import ask, local_api, prefect_environment
from tests.waiting import until

pytestmark = [pytest.mark.kubernetes, pytest.mark.server]

POOL = "far"
TOOL = """
    cwlVersion: v1.2
    class: CommandLineTool
    hints: {DockerRequirement: {dockerPull: "busybox:1.35"}}
    requirements: {ResourceRequirement: {coresMin: 0.01, ramMin: 16, tmpdirMin: 1}}
    inputs: []
    outputs: {said: stdout}
    stdout: said
    baseCommand: [sh, -c, "echo begun; sleep 600"]
    """
SAVE_BLOCK = """
import sys
from prefect_kubernetes.credentials import KubernetesClusterConfig
print(KubernetesClusterConfig.from_file(sys.argv[1]).save("far", overwrite=True))
"""


@pytest.fixture
def far(cluster: None, command: CommandLine) -> Iterator[CommandLine]:
    """The command line on a machine without a kubeconfig, and a pool that names the cluster."""
    kubeconfig = os.environ.get("KUBECONFIG", str(Path.home() / ".kube" / "config"))
    command.write("none", "")
    here = CommandLine(
        environment={**command.environment, "KUBECONFIG": str(command.directory / "none")}, directory=command.directory
    )
    assert here("pool", "create", POOL, "--type", "kubernetes").code == 0
    api = local_api(here.home)
    saved = here("-c", SAVE_BLOCK, kubeconfig, program="python", environment=prefect_environment(here.home))
    template = copy.deepcopy(dict(VARIABLES.template))
    block = {"$ref": {"block_document_id": saved.stdout.strip()}}
    template["variables"]["properties"]["cluster_config"]["default"] = block
    ask("PATCH", f"{api}/work_pools/{POOL}", {"base_job_template": template}).raise_for_status()
    return here


def killed_run(far: CommandLine) -> str:
    """Give the id of a run whose driver was killed while its call ran."""
    far.write("tool.cwl", TOOL)
    runs = far.directory / "runs"
    driver = far.start("run", "--steps-pool", POOL, "--outdir", far.outdir, "tool.cwl")

    def begun() -> bool:
        assert driver.process.poll() is None, driver.ended().stderr
        return any(path.stat().st_size for path in runs.rglob("said"))

    try:
        until(begun, 120)
    finally:
        driver.kill()
    (manifest,) = runs.glob("*/run.json")
    return manifest.parent.name


async def test_jobs_of_a_killed_driver_are_removed_from_the_cluster_of_their_pool(
    far: CommandLine, api: KubernetesApi
) -> None:
    of_the_run = f"{FLOW_RUN_LABEL}={killed_run(far)}"
    assert len(await api.jobs("default", of_the_run)) == 1

    waiting = far("workspace", "gc")
    assert "0 containers" in waiting.stdout
    assert len(await api.jobs("default", of_the_run)) == 1  # it may be resumed yet
    away = {"CWL_PREFECT_ADOPT_S": "0", "PREFECT_API_URL": "http://127.0.0.1:1/api"}
    refused = far("workspace", "gc", environment=away)
    assert "0 containers" in refused.stdout
    assert "Prefect's API does not tell the cluster of the work pool far" in refused.stderr
    assert "Traceback" not in refused.stderr
    collected = far("workspace", "gc", environment={"CWL_PREFECT_ADOPT_S": "0"})

    assert "1 containers" in collected.stdout, collected.stderr
    assert collected.stderr == ""
    assert await api.jobs("default", of_the_run) == []
    assert list((far.home / "kubernetes").iterdir()) == []


async def test_a_run_on_the_cluster_of_its_pool_is_cancelled_after_its_driver_was_killed(
    far: CommandLine, api: KubernetesApi
) -> None:
    run_id = killed_run(far)

    cancelled = far("runs", "cancel", run_id)

    assert cancelled.code == 0, cancelled.stderr
    assert "could not be removed" not in cancelled.stderr
    assert await api.jobs("default", f"{FLOW_RUN_LABEL}={run_id}") == []
