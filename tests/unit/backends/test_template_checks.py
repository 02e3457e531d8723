"""What is said about job templates."""

from typing import Any

import pytest

from cwl_prefect.backends.job_template.job_variables import packaged_template
from cwl_prefect.backends.template_checks import lost_results, remedy, template_findings
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


def kubernetes_with(volume: dict[str, Any], **mount: Any) -> dict[str, Any]:
    template = prefect_s_own("kubernetes")
    pod = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    pod["volumes"] = [{"name": "data", **volume}]
    pod["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data", **mount}]
    return template


def prefect_s_own(pool_type: str) -> dict[str, Any]:
    from prefect.workers.base import BaseWorker

    worker = BaseWorker.get_worker_class_from_type(pool_type)
    assert worker is not None
    return worker.get_default_base_job_template()


CLAIM: dict[str, Any] = {"persistentVolumeClaim": {"claimName": "data"}}
IN_DATA: dict[str, Any] = {"env": {"CWL_PREFECT_HOME": "/data/home"}}


@pytest.mark.parametrize(
    ("pool_type", "template", "given", "said"),
    [
        pytest.param("docker", packaged("docker"), {}, None, id="packaged-docker"),
        pytest.param("kubernetes", packaged("kubernetes"), {}, None, id="packaged-kubernetes"),
        pytest.param("docker", prefect_s_own("docker"), {}, "no volume", id="plain-docker"),
        pytest.param("kubernetes", prefect_s_own("kubernetes"), {}, "no volume", id="plain-kubernetes"),
        pytest.param("process", prefect_s_own("process"), {}, None, id="process"),
        pytest.param("docker", prefect_s_own("docker"), IN_DATA, "to /data/home/outputs, which", id="home-alone"),
        pytest.param("docker", prefect_s_own("docker"), {"volumes": ["/d:/data"]}, None, id="as-the-image-says"),
        pytest.param("docker", prefect_s_own("docker"), IN_DATA | {"volumes": ["/d:/data"]}, None, id="volume"),
        pytest.param(
            "docker", prefect_s_own("docker"), IN_DATA | {"volumes": ["/d:/data:ro"]}, "/data", id="read-only"
        ),
        pytest.param(
            "docker", packaged("docker"), {"volumes": []}, "/var/lib/cwl-prefect/outputs", id="without-volume"
        ),
        pytest.param(
            "docker", packaged("docker"), {"env.CWL_PREFECT_OUTDIR": "/results/{run_id}"}, "to /results/,", id="outdir"
        ),
        pytest.param("kubernetes", kubernetes_with(CLAIM), IN_DATA, None, id="claim"),
        pytest.param("kubernetes", kubernetes_with({"emptyDir": {}}), IN_DATA, "/data/home", id="empty-dir"),
        pytest.param("kubernetes", kubernetes_with(CLAIM, readOnly=True), IN_DATA, "/data/home", id="read-only-claim"),
    ],
)
def test_results_that_go_away_with_the_container_are_told(pool_type, template, given, said) -> None:
    found = lost_results(pool_type, template, given)
    assert (found is None) if said is None else (found is not None and said in found)


@pytest.mark.parametrize("pool_type", ["docker", "kubernetes"])
def test_what_to_add_to_a_template_is_told(pool_type: str) -> None:
    assert f"cwl-prefect pool create NAME --type {pool_type} --overwrite" in remedy(pool_type)
