"""The manifests in deployments/kubernetes, as a real API server takes them."""

import json
import subprocess
import uuid
from collections.abc import Iterator

import pytest

from tests.commands import PROJECT

pytestmark = pytest.mark.kubernetes

MANIFESTS = PROJECT / "deployments/kubernetes"
NAMESPACE = f"cwl-prefect-test-{uuid.uuid4().hex[:8]}"


def kubectl(*arguments: str, text: str | None = None) -> str:
    done = subprocess.run(["kubectl", *arguments], input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def namespace(cluster: None) -> Iterator[str]:
    """A namespace that exists: without one the server refuses everything in it, even when only asked."""
    kubectl("create", "namespace", NAMESPACE)
    yield NAMESPACE
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def test_all_objects_are_accepted(namespace: str) -> None:
    rendered = kubectl("kustomize", str(MANIFESTS)).replace("namespace: cwl-prefect\n", f"namespace: {namespace}\n")

    accepted = kubectl("apply", "--dry-run=server", "--filename", "-", "--output", "name", text=rendered).split()

    kinds = sorted(name.split("/")[0].split(".")[0] for name in accepted)
    assert kinds == [
        *("configmap", "deployment", "namespace", "networkpolicy", "networkpolicy"),
        *("persistentvolumeclaim", "role", "rolebinding", "serviceaccount"),
    ]


@pytest.mark.parametrize("volume", ["volume-hostpath.yaml", "volume-nfs.yaml"])
def test_example_volumes_are_accepted_and_fit_the_claim(cluster: None, volume: str) -> None:
    made = json.loads(kubectl("apply", "--dry-run=server", "--filename", str(MANIFESTS / volume), "--output", "json"))
    claim = json.loads(
        kubectl("create", "--dry-run=client", "--filename", str(MANIFESTS / "volume.yaml"), "--output", "json")
    )

    assert made["spec"]["claimRef"]["name"] == claim["metadata"]["name"]
    assert made["spec"]["accessModes"] == claim["spec"]["accessModes"]
    assert made["spec"]["capacity"]["storage"] == claim["spec"]["resources"]["requests"]["storage"]
