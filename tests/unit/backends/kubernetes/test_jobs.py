"""Which Jobs of a driver that is gone can be taken over."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cwl_prefect.backends.kubernetes import jobs
from cwl_prefect.backends.kubernetes.jobs import RUNS_ANNOTATION, end_flow_run_jobs, take_over, what_runs
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


class FlowRunApi:
    """Has the pods of a flow run, each of a Job of its own, of the same name."""

    def __init__(
        self, *pods: Sequence[str], deadline_s: int | None = None, owner: str = "Job", ended: bool = False
    ) -> None:
        self._pods = [
            {
                "metadata": {
                    "name": f"pod-{number}",
                    "namespace": "lab",
                    "ownerReferences": [{"apiVersion": "batch/v1", "kind": owner, "name": f"job-{number}", "uid": "u"}],
                },
                "spec": {"containers": [{"name": name} for name in containers]},
            }
            for number, containers in enumerate(pods)
        ]
        self._deadline_s = deadline_s
        self._conditions = [{"type": "Complete", "status": "True"}] * ended
        self.ends: dict[str, int] = {}
        self.closed = False

    async def pods(self, namespace: str, selector: str) -> tuple[list[dict[str, Any]], str]:
        assert (namespace, selector) == ("lab", "prefect.io/flow-run-id=r1")
        return self._pods, "1"

    async def job(self, namespace: str, name: str) -> dict[str, Any]:
        assert (namespace, name[:4]) == ("lab", "job-")
        began = datetime.now(UTC) - timedelta(seconds=100)  # from now: the tests were collected before
        status = {"startTime": began.isoformat(), "conditions": self._conditions}
        return {"spec": {"activeDeadlineSeconds": self._deadline_s}, "status": status}

    async def end_job(self, namespace: str, name: str, *, after_s: int) -> None:
        assert namespace == "lab"
        self.ends[name] = after_s

    async def close(self) -> None:
        self.closed = True


BOTH = ("flow", "proxy")


@pytest.mark.parametrize(
    ("api", "ends"),
    [
        pytest.param(FlowRunApi(["flow"]), [], id="nothing beside it"),
        pytest.param(FlowRunApi(BOTH), ["job-0"], id="a sidecar"),
        pytest.param(FlowRunApi(BOTH, BOTH), ["job-0", "job-1"], id="that of an earlier driver too"),
        pytest.param(FlowRunApi(BOTH, deadline_s=105), [], id="ends sooner anyway"),
        pytest.param(FlowRunApi(BOTH, deadline_s=9999), ["job-0"], id="ends later"),
        pytest.param(FlowRunApi(BOTH, ended=True), [], id="has ended"),
        pytest.param(FlowRunApi(BOTH, owner="ReplicaSet"), [], id="no Job"),
    ],
)
async def test_jobs_of_a_flow_run_end_soon_after_it_where_a_sidecar_would_keep_them(
    api: FlowRunApi, ends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect() -> FlowRunApi:
        return api

    monkeypatch.setattr(jobs, "connect", connect)
    await end_flow_run_jobs("r1", "lab")
    assert list(api.ends) == ends
    assert all(100 < after_s < 200 for after_s in api.ends.values())
    assert api.closed
