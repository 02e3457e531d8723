"""What flow runs in the cluster of the tests need: a namespace with the packaged manifests, and a pool."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ruamel.yaml import YAML

from tests.commands import PROJECT
from tests.deployments.site import Site

MANIFESTS = PROJECT / "deployments/kubernetes"
INSIDE = "/var/lib/cwl-prefect"
# The cluster of the tests has neither Services nor DNS: flow runs reach its API and Prefect's on the node itself.
AS_THE_NODE = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}
SIDECAR = {
    "name": "proxy",
    "image": "busybox:1.35",
    "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.5; done"],
}


def kubectl(*arguments: str, text: str | None = None) -> str:
    done = subprocess.run(["kubectl", *arguments], input=text, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def prepared(namespace: str, shared: Path) -> Iterator[None]:
    """Have a namespace with what the manifests give it, and a directory of this machine as the volume."""
    shared.mkdir()
    rendered = kubectl("kustomize", str(MANIFESTS)).replace("namespace: cwl-prefect\n", f"namespace: {namespace}\n")
    wanted = [each for each in YAML(typ="safe").load_all(rendered) if each["kind"] not in ("Namespace", "Deployment")]
    volume = YAML(typ="safe").load(MANIFESTS / "volume-hostpath.yaml")
    volume["metadata"]["name"] = namespace
    volume["spec"]["claimRef"]["namespace"] = namespace
    volume["spec"]["hostPath"]["path"] = str(shared)
    kubectl("create", "namespace", namespace)
    try:
        everything = {"apiVersion": "v1", "kind": "List", "items": [volume, *wanted]}
        kubectl("apply", "--filename", "-", text=json.dumps(everything))
        yield
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false")
        kubectl("delete", "persistentvolume", namespace, "--wait=false")


def variables_in(namespace: str) -> dict[str, object]:
    """Give the job variables of flow runs in a namespace."""
    environment = {**AS_THE_NODE, "CWL_PREFECT_KUBERNETES_HELPER_IMAGE": "busybox:1.35"}
    return {"namespace": namespace, "service_account_name": "cwl-prefect", "env": environment}


def pool_on_the_node(site: Site, name: str, *sidecars: dict[str, object]) -> None:
    """Make a pool whose pods share the node's network, have a read-only root, and containers beside the first."""
    site.run("cwl-prefect", "pool", "create", name, "--type", "kubernetes")
    template = site.get(f"work_pools/{name}")["base_job_template"]
    pod = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    pod["hostNetwork"] = True
    pod["containers"] += sidecars
    first = pod["containers"][0]
    first["securityContext"] = {"readOnlyRootFilesystem": True}
    for place in ("/home/cwl", "/tmp"):  # where the image has its home and temporary files
        volume = place.strip("/").replace("/", "-")
        pod["volumes"].append({"name": volume, "emptyDir": {}})
        first["volumeMounts"].append({"name": volume, "mountPath": place})
    site.send("PATCH", f"work_pools/{name}", {"base_job_template": template}).raise_for_status()
