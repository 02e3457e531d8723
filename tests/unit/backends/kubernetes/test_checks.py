"""What is said about a cluster, by one that answers what it is told to."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cwl_prefect.backends.job_template.job_variables import JobVariables, packaged_template
from cwl_prefect.backends.kubernetes import checks
from cwl_prefect.backends.kubernetes.checks import (
    CLOCK,
    POD,
    Seen,
    flow_run_image,
    image_finding,
    kubernetes_findings,
    pod_findings,
)
from cwl_prefect.errors import BackendError
from cwl_prefect.model.findings import Severity
from cwl_prefect.model.job import JobOutcome, Reason
from cwl_prefect.settings import Settings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
VARIABLES = JobVariables(template=packaged_template("kubernetes"))


def outcome(reason: Reason = Reason.EXITED, code: int | None = 0, message: str | None = None) -> JobOutcome:
    return JobOutcome(job_id="d", reason=reason, exit_code=code, started_at=NOW, finished_at=NOW, message=message)


class FakeApi:
    """Answers by path; refuses what it is told to."""

    def __init__(self, *, refused: tuple[str, ...] = (), error: BackendError | None = None) -> None:
        self.refused, self.error, self.closed = refused, error, False

    async def request(self, method: str, path: str, *, body: Any = None) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        if path == "/version":
            return {"gitVersion": "v1.28.0", "major": "1", "minor": "28"}
        asked = body["spec"]["resourceAttributes"]
        return {"status": {"allowed": f"{asked['verb']} {asked['resource']}" not in self.refused}}

    async def close(self) -> None:
        self.closed = True


async def said(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, variables: JobVariables = VARIABLES
) -> list[tuple[Severity, str]]:
    async def connect(_: object) -> FakeApi:
        return api

    async def pod(*_: object) -> list[Any]:
        return []

    monkeypatch.setattr(checks, "connect", connect)
    monkeypatch.setattr(checks, "_pod", pod)
    found = await kubernetes_findings(Settings(), variables)
    assert api.closed
    return [(each.severity, each.message) for each in found]


async def test_a_cluster_that_allows_everything_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [severity for severity, _ in await said(FakeApi(), monkeypatch)] == [Severity.OK, Severity.OK]


async def test_a_sidecar_of_flow_runs_alone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    template: Any = packaged_template("kubernetes")
    pod = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    pod["initContainers"] = "{{ sidecars }}"
    properties = template["variables"]["properties"]
    properties["sidecars"] = {"type": "array", "default": [{"name": "proxy", "restartPolicy": "Always"}]}
    properties["cwl"]["default"] = {"sidecars": []}
    _, sidecar, _ = await said(FakeApi(), monkeypatch, JobVariables(template=template))
    assert sidecar == (Severity.ERROR, "Kubernetes before 1.29 waits for proxy to end before it starts a flow run.")


async def test_every_missing_right_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    *_, (severity, message) = await said(FakeApi(refused=("delete jobs", "watch pods")), monkeypatch)
    assert severity is Severity.ERROR
    assert message == "not allowed in the namespace default: delete jobs, watch pods."


async def test_a_cluster_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    ((severity, message),) = await said(FakeApi(error=BackendError("it is away")), monkeypatch)
    assert (severity, message) == (Severity.ERROR, "it is away.")


async def test_no_cluster_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(_: object) -> None:
        raise BackendError("no Kubernetes cluster is configured")

    monkeypatch.setattr(checks, "connect", connect)
    (found,) = await kubernetes_findings(Settings(), VARIABLES)
    assert (found.severity, found.fix is not None) == (Severity.ERROR, True)


class TestPod:
    @pytest.mark.parametrize(
        ("there", "severity"), [(100, Severity.OK), (99, Severity.OK), (110, Severity.OK), (80, Severity.WARNING)]
    )
    def test_clocks_are_compared(self, tmp_path: Path, there: int, severity: Severity) -> None:
        (tmp_path / "now").write_text(f"{there}\n")
        pod, clock = pod_findings(outcome(), tmp_path, 100.9, 105.2)
        assert (pod.check, pod.severity, clock.check, clock.severity) == (POD, Severity.OK, CLOCK, severity)

    def test_a_volume_that_is_another_here_is_an_error(self, tmp_path: Path) -> None:
        (found,) = pod_findings(outcome(), tmp_path, 0, 1)
        assert (found.severity, "nothing is seen in" in found.message) == (Severity.ERROR, True)

    @pytest.mark.parametrize(
        ("ended", "message"),
        [
            (outcome(code=1), "cannot write to the volume: permission denied"),
            (outcome(Reason.UNSCHEDULABLE, None, "Unschedulable: no claim."), "does not run: Unschedulable: no claim."),
            (outcome(Reason.TIMED_OUT, None), "does not run: TimedOut: nothing more is known."),
        ],
        ids=["refused", "unschedulable", "late"],
    )
    def test_a_pod_that_fails_is_an_error(self, tmp_path: Path, ended: JobOutcome, message: str) -> None:
        (tmp_path / "stderr").write_text("permission denied\n")
        (found,) = pod_findings(ended, tmp_path, 0, 1)
        assert (found.severity, message in found.message) == (Severity.ERROR, True), found

    def test_no_hint_names_a_pod_that_is_gone(self, tmp_path: Path) -> None:
        for reason in Reason:
            (found,) = pod_findings(outcome(reason, 1), tmp_path, 0, 1)
            assert "describe pod" not in str(found.fix)
            assert "describe` of a pod" not in str(found.fix)


class TestImage:
    def test_the_template_names_it_by_its_variable_or_for_good(self) -> None:
        template: Any = packaged_template("kubernetes")
        assert flow_run_image(template) is None
        template["variables"]["properties"]["image"]["default"] = "flows:1"
        assert flow_run_image(template) == "flows:1"
        spec = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
        spec["containers"][0]["image"] = "flows:2"
        assert flow_run_image(template) == "flows:2"

    @pytest.mark.parametrize(
        ("ended", "severity", "message"),
        [
            (outcome(), Severity.OK, "can pull"),
            (outcome(code=1), Severity.OK, "can pull"),  # whatever it does as a step
            (outcome(Reason.NO_IMAGE, None, "no such image"), Severity.ERROR, "no such image"),
            (None, Severity.WARNING, "Pulling image"),
        ],
        ids=["ran", "failed", "refused", "late"],
    )
    def test_only_that_it_cannot_be_pulled_is_an_error(
        self, ended: JobOutcome | None, severity: Severity, message: str
    ) -> None:
        found = image_finding("flows:1", ended, Seen(told="it is Pending; Pulling image"))
        assert (found.severity, message in found.message) == (severity, True)
