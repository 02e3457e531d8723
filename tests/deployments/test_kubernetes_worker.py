"""Flow runs as pods that a real Kubernetes worker started, with their steps as Jobs; and steps alone on the cluster."""

import json
import subprocess
import uuid
from collections.abc import Iterator

import pytest
from ruamel.yaml import YAML

from tests.commands import PROJECT
from tests.conftest import missing_engine
from tests.deployments.documents import upper_and_count
from tests.deployments.site import ENDED, Site

pytestmark = [pytest.mark.server, pytest.mark.kubernetes]

MANIFESTS = PROJECT / "deployments/kubernetes"
NAMESPACE = f"cwl-prefect-test-{uuid.uuid4().hex[:8]}"
INSIDE = "/var/lib/cwl-prefect"
# The cluster of the tests has neither Services nor DNS: flow runs reach its API and Prefect's on the node itself.
AS_THE_NODE = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}

WORKFLOW = upper_and_count(
    '{DockerRequirement: {dockerPull: "busybox:1.35"}, ResourceRequirement: {coresMin: 0.1, ramMin: 32}}'
)


def kubectl(*arguments: str, text: str | None = None) -> str:
    done = subprocess.run(["kubectl", *arguments], input=text, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def namespace(site: Site, cluster_problem: str | None) -> Iterator[str]:
    """The namespace, rights and claim of the manifests, with a directory of this machine as the volume."""
    if cluster_problem is not None:
        missing_engine(cluster_problem)
    (site.directory / "shared").mkdir()
    rendered = kubectl("kustomize", str(MANIFESTS)).replace("namespace: cwl-prefect\n", f"namespace: {NAMESPACE}\n")
    wanted = [each for each in YAML(typ="safe").load_all(rendered) if each["kind"] not in ("Namespace", "Deployment")]
    volume = YAML(typ="safe").load(MANIFESTS / "volume-hostpath.yaml")
    volume["metadata"]["name"] = NAMESPACE
    volume["spec"]["claimRef"]["namespace"] = NAMESPACE
    volume["spec"]["hostPath"]["path"] = str(site.directory / "shared")
    kubectl("create", "namespace", NAMESPACE)
    try:
        everything = {"apiVersion": "v1", "kind": "List", "items": [volume, *wanted]}
        kubectl("apply", "--filename", "-", text=json.dumps(everything))
        yield NAMESPACE
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--wait=false")
        kubectl("delete", "persistentvolume", NAMESPACE, "--wait=false")


SIDECAR = {
    "name": "proxy",
    "image": "busybox:1.35",
    "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.5; done"],
}


def pool_on_the_node(site: Site, name: str) -> None:
    """Make a pool whose pods share the node's network, have a read-only root, and a sidecar that does not end."""
    site.run("cwl-prefect", "pool", "create", name, "--type", "kubernetes")
    template = site.get(f"work_pools/{name}")["base_job_template"]
    pod = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    pod["hostNetwork"] = True
    pod["containers"].append(SIDECAR)
    first = pod["containers"][0]
    first["securityContext"] = {"readOnlyRootFilesystem": True}
    for place in ("/home/cwl", "/tmp"):  # where the image has its home and temporary files
        volume = place.strip("/").replace("/", "-")
        pod["volumes"].append({"name": volume, "emptyDir": {}})
        first["volumeMounts"].append({"name": volume, "mountPath": place})
    site.send("PATCH", f"work_pools/{name}", {"base_job_template": template}).raise_for_status()


def test_driver_and_steps_are_pods_of_the_cluster(site: Site, namespace: str, built_image: str) -> None:
    pool_on_the_node(site, "in-cluster")
    (site.directory / "shared/letters.txt").write_text("twelve chars")
    environment = {**AS_THE_NODE, "CWL_PREFECT_KUBERNETES_HELPER_IMAGE": "busybox:1.35"}
    variables = {"namespace": namespace, "service_account_name": "cwl-prefect", "env": environment}
    given = [text for name, value in variables.items() for text in ("--job-variable", f"{name}={json.dumps(value)}")]
    deployment = site.deploy(WORKFLOW, "--image", built_image, *given, pool="in-cluster")
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
