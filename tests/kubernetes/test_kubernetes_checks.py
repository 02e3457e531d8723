"""What the doctor says about a real cluster."""

from pathlib import Path

import pytest

from cwl_prefect.backends.kubernetes_checks import kubernetes_findings
from cwl_prefect.model.findings import Severity
from cwl_prefect.settings import Settings
from tests.kubernetes.cluster import VARIABLES, cluster_settings

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
