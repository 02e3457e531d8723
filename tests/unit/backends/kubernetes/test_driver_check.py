"""What is said of flow runs in a cluster, by how a pod like theirs ended."""

import json
from pathlib import Path
from typing import Any

import pytest

from cwl_prefect.backends.kubernetes.driver_check import Driver, driver_manifest, pod_findings
from cwl_prefect.backends.kubernetes.manifest.defaults import KubernetesDefaults
from cwl_prefect.model.findings import Severity

DRIVER = Driver(
    image="flows:1",
    runs=Path("/data/runs"),
    environment={"CWL_PREFECT_HOME": "/data", "PREFECT_API_KEY": "pnu_secret", "DB_PASSWORD": "secret"},
)
POD: dict[str, Any] = {
    "metadata": {"labels": {"app": "flows"}},
    "spec": {
        "parallelism": 1,
        "serviceAccountName": "runs",
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        "containers": [
            {
                "name": "flow",
                "image": "step",
                "args": ["prefect", "flow-run", "execute"],
                "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "t", "key": "t"}}}],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            },
            {"name": "proxy", "image": "proxy:1"},
        ],
    },
}


def manifest() -> dict[str, Any]:
    job: dict[str, Any] = {"spec": {"template": POD}}
    return driver_manifest(DRIVER, KubernetesDefaults(namespace="lab", manifest=job))


def ended(message: str) -> dict[str, Any]:
    state = {"terminated": {"exitCode": 0, "message": message}}
    statuses = [{"name": "proxy", "state": {"running": {}}}, {"name": "flow", "state": state}]
    return {**POD, "status": {"phase": "Running", "containerStatuses": statuses}}


def said(pod: dict[str, Any] | None, events: str = "") -> list[tuple[Severity, str]]:
    return [(each.severity, each.message) for each in pod_findings(pod, DRIVER, events)]


def test_the_pod_is_as_those_of_flow_runs_and_goes_away_by_itself() -> None:
    job = manifest()
    assert job["metadata"]["namespace"] == "lab"
    assert job["spec"]["activeDeadlineSeconds"] > 0
    assert job["spec"]["ttlSecondsAfterFinished"] > 0
    pod = job["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "runs"
    assert pod["restartPolicy"] == "Never"
    flow, proxy = pod["containers"]
    assert (flow["image"], flow["volumeMounts"][0]["mountPath"], proxy["image"]) == ("flows:1", "/data", "proxy:1")
    assert "args" not in flow
    assert flow["command"][-1] == "/data/runs"


def test_no_credentials_are_written_into_it() -> None:
    assert "secret" not in json.dumps(manifest()).replace("secretKeyRef", "")
    names = {entry["name"] for entry in manifest()["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert names == {"TOKEN", "CWL_PREFECT_HOME"}


def test_one_that_can_write_is_well_although_a_sidecar_still_runs() -> None:
    ((severity, message),) = said(ended(json.dumps({"version": "1.2.3", "problems": {}})))
    assert (severity, "cwl-prefect 1.2.3" in message) == (Severity.OK, True)


def test_each_place_that_cannot_be_written_is_told_with_its_fix() -> None:
    problems = {"temporary files": "read-only", "Prefect's home": "read-only"}
    found = list(pod_findings(ended(json.dumps({"version": "1", "problems": problems})), DRIVER, ""))
    assert [each.severity for each in found] == [Severity.ERROR] * 2
    assert "emptyDir at /tmp" in str(found[0].fix)
    assert "PREFECT_HOME" in str(found[1].fix)


def test_an_image_without_this_package_is_told() -> None:
    ((severity, message),) = said(ended("Traceback:\nModuleNotFoundError: No module named 'prefect'"))
    assert severity is Severity.ERROR
    assert "does not run in flows:1: ModuleNotFoundError: No module named 'prefect'." in message


@pytest.mark.parametrize("pod", [None, {**POD, "status": {"phase": "Pending"}}], ids=["no-pod", "pending"])
def test_one_that_does_not_end_is_told_with_what_the_cluster_says(pod: dict[str, Any] | None) -> None:
    ((severity, message),) = said(pod, "FailedMount: there is no claim data")
    assert (severity, "there is no claim data" in message) == (Severity.ERROR, True)
