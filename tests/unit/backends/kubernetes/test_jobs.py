"""Which Jobs of a driver that is gone can be taken over."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cwl_prefect.backends.kubernetes import jobs
from cwl_prefect.backends.kubernetes.jobs import RUNS_ANNOTATION, end_own_job, take_over, what_runs
from cwl_prefect.backends.kubernetes.manifest.labels import job_annotations
from cwl_prefect.backends.kubernetes.objects import job_name, label_value
from cwl_prefect.backends.naming import job_labels
from cwl_prefect.model.job import ContainerJob
from tests.calls import job

RUNS = what_runs("tool@sha256:ab", ["tini"])


def made(pod: str) -> dict[str, str]:
    return {"type": "Normal", "reason": "SuccessfulCreate", "message": f"Created pod: {pod}"}


class Api:
    """Has one Job, some events about it, and its pods."""

    def __init__(
        self,
        call: ContainerJob,
        *events: dict[str, str],
        end: str | None = None,
        pods: Sequence[str] = (),
        owner: str | None = None,
    ) -> None:
        labels = {name: label_value(value) for name, value in job_labels(call, {}).items()}
        self._metadata = {
            "name": job_name(call.job_id),
            "namespace": "lab",
            "uid": "u1",
            "labels": labels,
            "annotations": {**job_annotations(call), RUNS_ANNOTATION: RUNS},
            "ownerReferences": [] if owner is None else [{"kind": "Job", "uid": owner}],
        }
        ends = [{"type": "Suspended", "status": "False"}, {"type": end, "status": "True"}] if end else []
        self._job = {"metadata": self._metadata, "status": {"conditions": ends}}
        self._events = list(events)
        self._pods = [{"metadata": {"name": pod}} for pod in pods]
        self.given: list[list[dict[str, str]]] = []

    async def job(self, namespace: str, name: str) -> dict[str, Any]:
        assert (namespace, name) == ("lab", self._metadata["name"])
        return self._job

    async def events(self, namespace: str, uid: str) -> list[dict[str, str]]:
        assert (namespace, uid) == ("lab", "u1")
        return self._events

    async def pods(self, namespace: str, selector: str) -> tuple[list[dict[str, Any]], str]:
        assert (namespace, selector) == ("lab", f"job-name={self._metadata['name']}")
        return self._pods, "1"

    async def give_job(self, namespace: str, name: str, owners: list[dict[str, str]]) -> bool:
        assert (namespace, name) == ("lab", self._metadata["name"])
        self.given.append(owners)
        return True


@pytest.fixture
def call(tmp_path: Path) -> ContainerJob:
    call = job(tmp_path, job_id="j", name="align")
    for stream in (call.stdout, call.stderr):
        stream.parent.mkdir(parents=True, exist_ok=True)
        stream.touch()
    return call


async def taken(call: ContainerJob, api: Api, owner: dict[str, str] | None = None, runs: str = RUNS) -> bool:
    cluster = SimpleNamespace(api=api, defaults=SimpleNamespace(namespace="lab"), owner=owner)
    return await take_over(cluster, call, runs)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([made("a")], True, id="one-pod"),
        pytest.param([], True, id="events-are-gone"),
        pytest.param([made("a"), made("b")], False, id="a-second-pod-in-place-of-a-deleted-one"),
    ],
)
async def test_a_job_is_taken_over_unless_it_began_twice(
    call: ContainerJob, events: list[dict[str, str]], expected: bool
) -> None:
    assert await taken(call, Api(call, *events)) is expected


@pytest.mark.parametrize(
    "runs",
    [
        pytest.param(what_runs("tool@sha256:cd", ["tini"]), id="the-tag-moved"),
        pytest.param(what_runs("tool@sha256:ab", []), id="another-entry-point"),
    ],
)
async def test_a_job_that_runs_something_else_is_not_taken_over(call: ContainerJob, runs: str) -> None:
    assert not await taken(call, Api(call, made("a")), runs=runs)


@pytest.mark.parametrize("end", ["Complete", "Failed"])
@pytest.mark.parametrize("pods", [["a"], []], ids=["with-its-pod", "pod-is-gone"])
async def test_a_job_that_ended_is_taken_over_with_its_pod_alone(call: ContainerJob, end: str, pods: list[str]) -> None:
    assert await taken(call, Api(call, made("a"), end=end, pods=pods)) is bool(pods)


OWNER = {"kind": "Job", "uid": "new"}


@pytest.mark.parametrize(
    ("before", "owner", "given"),
    [
        pytest.param("old", OWNER, [[OWNER]], id="of-the-driver-that-is-gone"),
        pytest.param("old", None, [[]], id="to-a-driver-without-a-job"),
        pytest.param("new", OWNER, [], id="of-the-same-flow-run-s-job"),
        pytest.param(None, None, [], id="nobody-s"),
    ],
)
async def test_a_job_that_is_taken_over_goes_away_with_its_new_driver(
    call: ContainerJob, before: str | None, owner: dict[str, str] | None, given: list[list[dict[str, str]]]
) -> None:
    api = Api(call, made("a"), owner=before)
    assert await taken(call, api, owner)
    assert api.given == given


class OwnApi:
    """Has the pod that this process is said to run in, and its Job."""

    def __init__(self, *containers: str, age_s: float = 100, deadline_s: int | None = None, owner: str = "Job") -> None:
        owners = [{"apiVersion": "batch/v1", "kind": owner, "name": "flow-job", "uid": "u1"}]
        self._pod = {
            "metadata": {"name": "this-host", "namespace": "lab", "ownerReferences": owners},
            "spec": {"containers": [{"name": name} for name in containers]},
        }
        began = datetime.now(UTC) - timedelta(seconds=age_s)
        self._job = {"spec": {"activeDeadlineSeconds": deadline_s}, "status": {"startTime": began.isoformat()}}
        self.ends: list[int] = []
        self.closed = False

    async def pod(self, namespace: str, name: str) -> dict[str, Any]:
        assert (namespace, name) == ("lab", "this-host")
        return self._pod

    async def job(self, namespace: str, name: str) -> dict[str, Any]:
        assert (namespace, name) == ("lab", "flow-job")
        return self._job

    async def end_job(self, namespace: str, name: str, *, after_s: int) -> None:
        assert (namespace, name) == ("lab", "flow-job")
        self.ends.append(after_s)

    async def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("api", "ends"),
    [
        pytest.param(OwnApi("flow"), 0, id="nothing beside it"),
        pytest.param(OwnApi("flow", "proxy"), 1, id="a sidecar"),
        pytest.param(OwnApi("flow", "proxy", deadline_s=105), 0, id="ends sooner anyway"),
        pytest.param(OwnApi("flow", "proxy", deadline_s=9999), 1, id="ends later"),
        pytest.param(OwnApi("flow", "proxy", owner="ReplicaSet"), 0, id="no Job"),
    ],
)
async def test_a_flow_run_s_job_ends_soon_after_it_where_a_sidecar_would_keep_it(
    api: OwnApi, ends: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect() -> OwnApi:
        return api

    monkeypatch.setattr(jobs, "connect", connect)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("POD_NAME", "this-host")
    monkeypatch.setenv("POD_NAMESPACE", "lab")
    await end_own_job()
    assert len(api.ends) == ends
    assert all(100 < after_s < 200 for after_s in api.ends)
    assert api.closed
