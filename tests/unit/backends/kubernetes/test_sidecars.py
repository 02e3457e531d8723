"""What becomes of containers beside the first one of a pod."""

from typing import Any

import pytest

from cwl_prefect.backends.kubernetes.sidecars import has_sidecars, sidecar_findings
from cwl_prefect.model.findings import Severity

NATIVE: dict[str, Any] = {"name": "mesh", "restartPolicy": "Always"}


def template(*beside: str, init: tuple[dict[str, Any], ...] = (), **spec: Any) -> dict[str, Any]:
    containers = [{"name": name} for name in ("flow", *beside)]
    return {"spec": {**spec, "template": {"spec": {"containers": containers, "initContainers": [*init]}}}}


@pytest.mark.parametrize(
    ("manifest", "version", "found"),
    [
        pytest.param(template(), (1, 20), [], id="no sidecar"),
        pytest.param(template(init=({"name": "fetch"},)), (1, 20), [], id="an init container that ends"),
        pytest.param(template(init=(NATIVE,)), (1, 29), [], id="native"),
        pytest.param(template(init=(NATIVE,)), (1, 28), [Severity.ERROR], id="native where nobody knows that"),
        pytest.param(template(init=(NATIVE,)), (0, 0), [], id="native where the server does not tell its version"),
        pytest.param(template("proxy"), (1, 20), [Severity.WARNING], id="may be left"),
        pytest.param(template("proxy", activeDeadlineSeconds=9), (1, 20), [], id="left until its deadline"),
        pytest.param(template("proxy", activeDeadlineSeconds=9), (1, 30), [Severity.WARNING], id="could be native"),
    ],
)
def test_the_doctor_says_what_to_write(
    manifest: dict[str, Any], version: tuple[int, int], found: list[Severity]
) -> None:
    assert [each.severity for each in sidecar_findings(manifest, version)] == found


def test_the_remedy_is_one_of_the_cluster_s_version() -> None:
    (old,), (new,) = (list(sidecar_findings(template("proxy"), version)) for version in ((1, 28), (1, 29)))
    assert "activeDeadlineSeconds" in str(old.fix)
    assert "restartPolicy: Always" in str(new.fix)


def test_native_sidecars_do_not_count_for_the_end_of_a_pod() -> None:
    mesh = {"containers": [{"name": "flow"}], "initContainers": [NATIVE]}
    assert not has_sidecars({"spec": mesh})
    assert has_sidecars({"spec": {"containers": [{"name": "proxy"}, {"name": "flow"}]}})
