"""Flow runs as pods that a real Kubernetes worker started, with their steps as Jobs; and steps alone on the cluster."""

import json
import uuid
from collections.abc import Iterator

import pytest

from tests.conftest import missing_engine
from tests.deployments.documents import upper_and_count
from tests.deployments.in_cluster import INSIDE, SIDECAR, kubectl, pool_on_the_node, prepared, variables_in
from tests.deployments.site import ENDED, Site

pytestmark = [pytest.mark.server, pytest.mark.kubernetes]

NAMESPACE = f"cwl-prefect-test-{uuid.uuid4().hex[:8]}"

WORKFLOW = upper_and_count(
    '{DockerRequirement: {dockerPull: "busybox:1.35"}, ResourceRequirement: {coresMin: 0.1, ramMin: 32}}'
)


@pytest.fixture(scope="module")
def namespace(site: Site, cluster_problem: str | None) -> Iterator[str]:
    """A namespace with the directory `shared` of this machine as the volume."""
    if cluster_problem is not None:
        missing_engine(cluster_problem)
    with prepared(NAMESPACE, site.directory / "shared"):
        yield NAMESPACE


def test_driver_and_steps_are_pods_of_the_cluster(site: Site, namespace: str, built_image: str) -> None:
    pool_on_the_node(site, "in-cluster", SIDECAR)
    (site.directory / "shared/letters.txt").write_text("twelve chars")
    variables = [f"--job-variable={name}={json.dumps(value)}" for name, value in variables_in(namespace).items()]
    deployment = site.deploy(WORKFLOW, "--image", built_image, *variables, pool="in-cluster")
    flow = site.get(f"flows/{site.get(f'deployments/{deployment}')['flow_id']}")["name"]
    said = site.run("cwl-prefect", "doctor", "--deployment", f"{flow}/in-cluster")
    assert f"can write to {INSIDE}/runs" in said  # although this machine has no such directory

    with site.worker("in-cluster"):
        run = site.start(deployment, text=f"{INSIDE}/letters.txt").json()["id"]
        assert site.until(run, *ENDED) == "COMPLETED", site.log_of(run)

    outputs = json.loads((site.directory / f"shared/outputs/{run}/cwl-prefect-outputs.json").read_text())
    assert outputs["letters"] == len("twelve chars")
    label = f"cwl-prefect.io/flow-run-id={run}"
    site.wait_for(lambda: not kubectl("get", "jobs,pods", "-n", namespace, "-l", label, "-o", "name").strip())
    of_run = f"prefect.io/flow-run-id={run}"
    site.wait_for(lambda: not kubectl("get", "pods", "-n", namespace, "-l", of_run, "-o", "name").strip())
    assert kubectl("get", "jobs", "-n", namespace, "-l", of_run, "-o", "jsonpath={.items[*].status.active}") == ""
    assert site.state(run) == "COMPLETED"


def test_a_process_worker_s_steps_are_pods_of_another_pool(site: Site, namespace: str) -> None:
    shared = site.directory / "shared"
    (shared / "letters.txt").write_text("twelve chars")
    site.run("cwl-prefect", "pool", "create", "steps-in-cluster", "--type", "kubernetes")
    environment = {
        "CWL_PREFECT_STEPS_POOL": "steps-in-cluster",
        "CWL_PREFECT_KUBERNETES_HELPER_IMAGE": "busybox:1.35",
        "CWL_PREFECT_KUBERNETES_VOLUME": f"hostPath:{shared}",
        "CWL_PREFECT_WORKDIR": str(shared),
    }
    options = ("--job-variable", f"env={json.dumps(environment)}", "--job-variable", f"namespace={namespace}")

    run = site.start(site.deploy(WORKFLOW, "--name", "mixed", *options), text=str(shared / "letters.txt")).json()["id"]

    assert site.until(run, *ENDED) == "COMPLETED", site.log_of(run)
    assert site.outputs(run)["letters"] == len("twelve chars")
    assert site.outputs(run)["where"].startswith("cwl-")
