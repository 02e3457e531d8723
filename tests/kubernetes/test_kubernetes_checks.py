"""What the doctor says about a real cluster."""

from pathlib import Path

import pytest

from cwl_prefect.backends.kubernetes.checks import kubernetes_findings
from cwl_prefect.model.findings import Severity
from cwl_prefect.settings import Settings
from tests.kubernetes.cluster import VARIABLES, cluster_settings, with_template

pytestmark = pytest.mark.kubernetes


async def test_a_cluster_with_a_shared_volume_is_well(cluster: None, settings: Settings, volume: Path) -> None:
    found = await kubernetes_findings(settings, VARIABLES)
    assert [each.severity for each in found] == [Severity.OK] * 4, found
    assert list(volume.glob(".doctor-*")) == []


async def test_a_volume_that_nodes_have_elsewhere_is_found_out(cluster: None, volume: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    elsewhere = cluster_settings(
        tmp_path / "here",
        kubernetes_volume=f"hostPath:{tmp_path}/elsewhere",
        kubernetes_volume_path=tmp_path / "here",
    )
    *_, pod = await kubernetes_findings(elsewhere, VARIABLES)
    assert (pod.check, pod.severity) == ("Kubernetes pod", Severity.ERROR)


async def test_a_template_with_a_user_who_cannot_write_is_found_out(cluster: None, settings: Settings) -> None:
    def change(spec: dict) -> None:
        spec["template"]["spec"]["securityContext"] = {"runAsUser": 4321}

    *_, pod = await kubernetes_findings(settings, with_template(change))
    assert (pod.check, pod.severity) == ("Kubernetes pod", Severity.ERROR)
    assert "user 4321, who cannot write" in pod.message
    assert "runAsUser: 4321" in str(pod.fix)


async def test_images_that_nodes_cannot_pull_are_found_out(cluster: None, settings: Settings) -> None:
    def change(spec: dict) -> None:
        containers = spec["template"]["spec"]["containers"]
        containers[0]["image"] = "127.0.0.1:1/flows:1"
        containers.append({"name": "proxy", "image": "127.0.0.1:1/proxy:1"})

    *_, sidecar, image = await kubernetes_findings(settings, with_template(change))
    assert (sidecar.severity, "127.0.0.1:1/proxy:1" in str(sidecar.fix)) == (Severity.WARNING, True)
    assert (image.check, image.severity) == ("Kubernetes image", Severity.ERROR)
    assert "127.0.0.1:1/flows:1" in image.message
