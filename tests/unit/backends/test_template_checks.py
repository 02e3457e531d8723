"""What is said about job templates."""

from typing import Any

import pytest

from cwl_prefect.backends.job_variables import packaged_template
from cwl_prefect.backends.template_checks import template_findings
from cwl_prefect.model.findings import Severity


def packaged(pool_type: str = "docker", **defaults: Any) -> dict[str, Any]:
    template: dict[str, Any] = packaged_template(pool_type)
    for name, value in defaults.items():
        template["variables"]["properties"].setdefault(name, {})["default"] = value
    return template


def said(pool_type: str, template: dict[str, Any]) -> list[tuple[Severity, str]]:
    found = template_findings(pool_type, template)
    assert all(each.fix for each in found if each.severity is not Severity.OK)
    return [(each.severity, each.message) for each in found]


@pytest.mark.parametrize("pool_type", ["docker", "kubernetes", "process"])
def test_packaged_templates_are_well(pool_type: str) -> None:
    assert [severity for severity, _ in said(pool_type, packaged(pool_type))] == [Severity.OK]


@pytest.mark.parametrize("pool_type", ["docker", "kubernetes", "process"])
def test_prefect_s_own_templates_stop_no_run(pool_type: str) -> None:
    from prefect.workers.base import BaseWorker

    worker = BaseWorker.get_worker_class_from_type(pool_type)
    assert worker is not None
    found = said(pool_type, worker.get_default_base_job_template())
    assert not [message for severity, message in found if severity is Severity.ERROR]
    assert ("engine's socket" in str(found)) is (pool_type == "docker")


def fixed_image() -> dict[str, Any]:
    template = packaged()
    template["job_configuration"]["image"] = "site/flows:1"
    return template


def without_image() -> dict[str, Any]:
    template = packaged("kubernetes")
    template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]["containers"][0].pop("image")
    return template


def with_container(**members: Any) -> dict[str, Any]:
    template = packaged("kubernetes")
    template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]["containers"][0].update(members)
    return template


def without_variable() -> dict[str, Any]:
    template = packaged()
    template["variables"]["properties"].pop("networks")
    return template


@pytest.mark.parametrize(
    ("pool_type", "template", "severity", "message"),
    [
        pytest.param("docker", {}, "error", "no job_configuration", id="empty"),
        pytest.param(
            "docker", {"job_configuration": {}, "variables": {}}, "error", "no variables with", id="no-variables"
        ),
        pytest.param("docker", without_variable(), "warning", "uses networks, but there is no such", id="placeholder"),
        pytest.param("docker", fixed_image(), "warning", "always use the image site/flows:1", id="fixed-image"),
        pytest.param("kubernetes", without_image(), "error", "no image", id="no-image"),
        pytest.param(
            "process", packaged("process", env={"PREFECT_API_URL": "x"}), "warning", "sets PREFECT_API_URL", id="url"
        ),
        pytest.param("process", packaged("process", env={"PREFECT_API_KEY": "x"}), "warning", "everybody", id="key"),
        pytest.param(
            "kubernetes",
            with_container(envFrom=[{"secretRef": {"name": "api"}}, {"configMapRef": {"name": "site"}}]),
            "warning",
            "envFrom gives tools every variable of secret api, config map site, credentials too",
            id="env-from",
        ),
        pytest.param(
            "kubernetes",
            with_container(env=[{"name": "DB_PASSWORD", "value": "x"}, {"name": "A_TOKEN", "valueFrom": {}}]),
            "warning",
            "env holds DB_PASSWORD: everybody who may read",
            id="written-in-the-container",
        ),
        pytest.param("docker", packaged(volumes=["/data:/data"]), "warning", "engine's socket", id="no-socket"),
        pytest.param(
            "docker",
            packaged(volumes=["/s.sock:/s.sock", "/srv:/var/lib/cwl-prefect"]),
            "error",
            "no volume with the same path",
            id="other-path",
        ),
        pytest.param("docker", packaged(env={}), "warning", "does not say by CWL_PREFECT_HOME", id="no-workdir"),
        pytest.param("docker", packaged(cwl={"netwroks": []}), "error", "netwroks is no job variable", id="cwl"),
    ],
)
def test_what_is_wrong_is_said(pool_type: str, template: dict[str, Any], severity: str, message: str) -> None:
    found = said(pool_type, template)
    assert any(each == severity and message in text for each, text in found), found
