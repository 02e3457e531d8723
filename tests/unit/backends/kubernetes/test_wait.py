"""How a call's end is told apart, from what a cluster really says."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cwl_prefect.backends.kubernetes import patience
from cwl_prefect.backends.kubernetes import wait as kubernetes_wait
from cwl_prefect.backends.kubernetes import watch as kubernetes_watch
from cwl_prefect.backends.kubernetes.manifest.job import KubernetesOptions
from cwl_prefect.backends.kubernetes.objects import job_name
from cwl_prefect.backends.kubernetes.wait import PodWait
from cwl_prefect.backends.kubernetes.watch import Followed, PodWatch
from cwl_prefect.model.job import PASSING_REASONS, JobOutcome, Reason
from tests.calls import job

JOB = job(Path("/logs"), job_id="j", name="align")
PREEMPTED = {
    "type": "Normal",
    "reason": "Preempted",
    "message": "Preempted by default/urgent on node n1",
    "source": {"component": "default-scheduler"},
}
NOT_READY = {
    "type": "Warning",
    "reason": "NodeNotReady",
    "message": "Node is not ready",
    "source": {"component": "node-controller"},
}
TAINTED = {
    "type": "Normal",
    "reason": "TaintManagerEviction",
    "message": "Marking for deletion Pod default/align",
    "source": {"component": "taint-controller"},
}
RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
SILENT = [{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "True"}]
KILLED = {"terminated": {"exitCode": 137, "reason": "Error", "startedAt": "2026-01-01T00:00:00Z"}}


class Api:
    """Says of the Job one thing after another, at last that there is none any more, and has some events."""

    def __init__(self, events: list[dict[str, Any]], *said: dict[str, Any]) -> None:
        self._events = events
        self.said = list(said)
        self.alone: list[str] = []
        self.asked_about: list[str] = []

    async def pods(self, namespace: str, selector: str) -> tuple[list[dict[str, Any]], str]:
        del namespace, selector
        return [], "1"

    async def make_no_more_pods(self, namespace: str, name: str) -> None:
        assert namespace == "lab"
        self.alone.append(name)

    async def job(self, namespace: str, name: str) -> dict[str, Any] | None:
        del namespace, name
        return self.said.pop(0) if self.said else None

    async def events(self, namespace: str, uid: str) -> list[dict[str, Any]]:
        assert (namespace, uid) == ("lab", "u1")
        self.asked_about.append(uid)
        return self._events

    async def warnings(self, namespace: str) -> list[dict[str, Any]]:
        assert namespace == "lab"
        about = {"involvedObject": {"uid": "u1"}}
        return [about | event for event in self._events if event["type"] == "Warning"]


def deleted_pod(state: dict[str, Any], phase: str) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "align-x",
            "uid": "u1",
            "deletionTimestamp": "2026-01-01T00:05:30Z",
            "deletionGracePeriodSeconds": 0,
        },
        "spec": {"nodeName": "n1", "containers": [{"name": "tool"}]},
        "status": {"phase": phase, "containerStatuses": [{"name": "tool", "state": state}]},
    }


async def ended(pod: dict[str, Any], api: Api, *, gone: bool) -> JobOutcome:
    followed = Followed()
    followed.see(pod, deleted=gone)
    watch = PodWatch(api, "lab", "a=b")
    wait = PodWait(JOB, api, "lab", options=KubernetesOptions(), watch=watch, followed=followed)
    async with asyncio.timeout(5):
        return await wait.outcome()


@pytest.mark.parametrize(
    ("state", "phase", "events", "gone", "reason"),
    [
        pytest.param(KILLED, "Failed", [PREEMPTED], False, Reason.PREEMPTED, id="preempted-and-still-there"),
        pytest.param(RUNNING, "Running", [PREEMPTED], True, Reason.PREEMPTED, id="preempted-and-gone"),
        pytest.param(RUNNING, "Running", [NOT_READY, TAINTED], True, Reason.NODE_LOST, id="node-lost"),
        pytest.param(RUNNING, "Running", [], True, Reason.LOST, id="deleted-by-somebody"),
    ],
)
async def test_why_a_pod_was_deleted(
    state: dict[str, Any], phase: str, events: list[dict[str, Any]], gone: bool, reason: Reason
) -> None:
    outcome = await ended(deleted_pod(state, phase), Api(events), gone=gone)
    assert outcome.reason is reason
    assert outcome.reason in PASSING_REASONS  # tried again, as a fault of the machines
    assert all(event["message"] in str(outcome.message) for event in events if event["type"] == "Warning")


@pytest.mark.parametrize("events", [[NOT_READY, TAINTED], []], ids=["told by events", "without events"])
async def test_a_pod_that_nobody_ends_is_on_a_lost_node(
    monkeypatch: pytest.MonkeyPatch, events: list[dict[str, Any]]
) -> None:
    monkeypatch.setattr(kubernetes_wait, "_DYING_S", 0.05)
    monkeypatch.setattr(kubernetes_wait, "_TICK_S", 0.02)
    outcome = await ended(deleted_pod(RUNNING, "Running"), Api(events), gone=False)
    assert outcome.reason is Reason.NODE_LOST
    assert ("Node is not ready" in str(outcome.message)) is bool(events)


async def test_a_pod_of_a_silent_node_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_wait, "_SILENT_S", 0.05)
    monkeypatch.setattr(kubernetes_wait, "_TICK_S", 0.02)
    pod = deleted_pod(RUNNING, "Running")
    pod["status"]["conditions"] = SILENT
    outcome = await ended(pod, Api([NOT_READY]), gone=False)
    assert outcome.reason is Reason.NODE_LOST


async def test_a_job_makes_no_pod_in_place_of_one_that_still_runs() -> None:
    pod = deleted_pod(RUNNING, "Running")
    followed, api = Followed(), Api([])
    followed.see({**pod, "metadata": {**pod["metadata"], "deletionGracePeriodSeconds": 30}}, deleted=False)
    wait = PodWait(JOB, api, "lab", options=KubernetesOptions(), watch=PodWatch(api, "lab", "a=b"), followed=followed)
    outcome = asyncio.create_task(wait.outcome())
    await asyncio.sleep(0.05)
    assert api.alone == [job_name("j")]

    followed.see(deleted_pod({"terminated": {"exitCode": 0}}, "Succeeded"), deleted=False)

    async with asyncio.timeout(5):
        assert (await outcome).exit_code == 0
    assert api.alone == [job_name("j")]


@pytest.mark.parametrize(
    ("state", "twice"), [({"waiting": {"reason": "ContainerCreating"}}, False), (RUNNING, True)], ids=["made", "begun"]
)
def test_a_second_pod_of_a_job_counts_once_it_began(state: dict[str, Any], twice: bool) -> None:
    followed = Followed()
    first, second = deleted_pod(RUNNING, "Running"), deleted_pod(state, "Pending")
    followed.see(first, deleted=False)
    followed.see({**second, "metadata": {"name": "align-y", "uid": "u2"}}, deleted=False)
    assert (followed.pod, followed.replaced, followed.twice) == (first, True, twice)


async def test_a_pod_that_its_node_ends_after_its_grace_is_on_no_lost_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_wait, "_DYING_S", 0.05)
    monkeypatch.setattr(kubernetes_wait, "_TICK_S", 0.02)
    pod = deleted_pod(RUNNING, "Running")
    followed = Followed()
    followed.see({**pod, "metadata": {**pod["metadata"], "deletionGracePeriodSeconds": 30}}, deleted=False)
    api = Api([])
    wait = PodWait(JOB, api, "lab", options=KubernetesOptions(), watch=PodWatch(api, "lab", "a=b"), followed=followed)
    outcome = asyncio.create_task(wait.outcome())
    await asyncio.sleep(0.1)

    followed.see(pod, deleted=False)  # nothing is left of its grace
    await asyncio.sleep(0.1)
    followed.see(pod, deleted=True)

    async with asyncio.timeout(5):
        assert (await outcome).reason is Reason.LOST


FAILED_IN_TIME = {
    "type": "Failed",
    "status": "True",
    "reason": "DeadlineExceeded",
    "message": "Job was active longer than specified deadline",
}
WITH_DEADLINE = {"spec": {"activeDeadlineSeconds": 3}}
PASSED = {**WITH_DEADLINE, "status": {"conditions": [FAILED_IN_TIME]}}


async def test_a_deadline_counts_that_the_job_tells_after_its_pod_is_gone() -> None:
    outcome = await ended(deleted_pod(RUNNING, "Running"), Api([], WITH_DEADLINE, PASSED), gone=True)
    assert outcome.reason is Reason.TIMED_OUT
    assert outcome.message == "Job was active longer than specified deadline"


@pytest.mark.parametrize(
    ("job", "reason"), [({"spec": {}}, Reason.LOST), (PASSED, Reason.TIMED_OUT)], ids=["by-somebody", "at-its-deadline"]
)
async def test_a_pod_that_is_deleted_while_it_starts_says_nothing_of_its_command(
    job: dict[str, Any], reason: Reason
) -> None:
    interrupted = {"terminated": {"exitCode": 128, "reason": "ContainerCannotRun", "message": "cannot be started"}}
    outcome = await ended(deleted_pod(interrupted, "Failed"), Api([], job), gone=False)
    assert outcome.reason is reason
    assert "deleted while it started" in outcome.message or reason is Reason.TIMED_OUT


async def test_a_job_without_a_deadline_is_not_asked_again() -> None:
    api = Api([], {"spec": {}}, PASSED)
    outcome = await ended(deleted_pod(RUNNING, "Running"), api, gone=True)
    assert outcome.reason is Reason.LOST
    assert api.said == [PASSED]


def waiting_pod(lacking: str) -> dict[str, Any]:
    refusal = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": lacking}
    return {
        "metadata": {"name": "align-x", "uid": "u1"},
        "spec": {"containers": [{"name": "tool"}]},
        "status": {"phase": "Pending", "conditions": [refusal]},
    }


@pytest.mark.parametrize("after_s", [0.0, 60.0], ids=["long", "briefly"])
async def test_what_calls_wait_for_is_told_once_for_all(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, after_s: float
) -> None:
    monkeypatch.setattr(patience, "_TOLD_S", after_s)
    monkeypatch.setattr(kubernetes_wait, "_TICK_S", 0.01)
    api = Api([])
    watch = PodWatch(api, "lab", "a=b")
    options = KubernetesOptions(start_timeout_s=0.1)
    waits = []
    for lacking in ("1 Insufficient cpu.", "1 Insufficient cpu.", "1 Insufficient memory."):
        followed = Followed()
        followed.see(waiting_pod(lacking), deleted=False)
        waits.append(PodWait(JOB, api, "lab", options=options, watch=watch, followed=followed))
    outcomes = await asyncio.gather(*(wait.outcome() for wait in waits))
    assert {outcome.reason for outcome in outcomes} == {Reason.UNSCHEDULABLE}
    said = [
        "align waits to be started: Unschedulable: 1 Insufficient cpu.",
        "align waits to be started: Unschedulable: 1 Insufficient memory.",
    ]
    assert caplog.messages == ([] if after_s else said)


UNMOUNTED = {"type": "Warning", "reason": "FailedMount", "message": 'secret "reads" not found'}
PULLING = {"type": "Normal", "reason": "Pulling", "message": "Pulling image"}
HARMLESS = {"type": "Warning", "reason": "MissingClusterDNS", "message": "no cluster DNS"}
ON_NODE = {
    "metadata": {"name": "align-x", "uid": "u1"},
    "spec": {"nodeName": "n1", "containers": [{"name": "tool"}]},
    "status": {
        "phase": "Pending",
        "containerStatuses": [{"name": "tool", "state": {"waiting": {"reason": "ContainerCreating"}}}],
    },
}


@pytest.mark.parametrize(
    ("events", "given_up"),
    [([UNMOUNTED], True), ([UNMOUNTED, PULLING], False), ([PULLING], False), ([HARMLESS], False), ([], False)],
    ids=["without a volume", "once without", "pulling", "of no account", "nothing said"],
)
async def test_a_pod_that_its_node_cannot_prepare_is_given_up_after_a_while(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, events: list[dict[str, Any]], given_up: bool
) -> None:
    monkeypatch.setattr(patience, "_TOLD_S", 0.0)
    monkeypatch.setattr(kubernetes_wait, "_TICK_S", 0.01)
    monkeypatch.setattr(kubernetes_wait, "_LOOK_AGAIN_S", 0.02)
    api, followed = Api(events), Followed()
    followed.see(ON_NODE, deleted=False)
    options = KubernetesOptions(start_timeout_s=0.05)
    wait = PodWait(JOB, api, "lab", options=options, watch=PodWatch(api, "lab", "a=b"), followed=followed)
    ended = asyncio.create_task(wait.outcome())
    await asyncio.wait([ended], timeout=5 if given_up else 0.2)
    assert ended.done() is given_up
    assert bool(api.asked_about) is (UNMOUNTED in events)  # a server looks through all events for those of one pod
    ended.cancel()
    if given_up:
        outcome = await ended
        assert (outcome.reason, 'secret "reads" not found' in str(outcome.message)) == (Reason.NO_CONTAINER, True)
        assert "doctor" in str(outcome.hint)
        assert caplog.messages == ['align waits to be started: FailedMount: secret "reads" not found']


async def test_a_job_that_ended_and_has_no_pod_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_wait, "_TICK_S", 0.01)
    monkeypatch.setattr(kubernetes_wait, "_LOOK_AGAIN_S", 0.0)
    complete = {"metadata": {"uid": "u1"}, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}
    api = Api([], *[complete] * 50)
    wait = PodWait(JOB, api, "lab", options=KubernetesOptions(), watch=PodWatch(api, "lab", "a=b"), followed=Followed())
    async with asyncio.timeout(5):
        outcome = await wait.outcome()
    assert (outcome.reason, "its pod, which could tell how, is gone" in str(outcome.message)) == (Reason.LOST, True)


LACKING = "exceeded quota: few, requested: pods=1, used: pods={used}, limited: pods=2"


class WithoutQuota(Api):
    """Has a Job that gets no pod, for which it says a little different each time, with the name that the pod had."""

    def __init__(self) -> None:
        super().__init__([])
        self.nudged = 0

    async def job(self, namespace: str, name: str) -> dict[str, Any]:
        del namespace, name
        return {"metadata": {"uid": "u1"}, "spec": {}}

    async def warnings(self, namespace: str) -> list[dict[str, Any]]:
        del namespace
        said = (
            f'Error creating: pods "align-{n}" is forbidden: {LACKING.format(used=n)}' for n in range(self.nudged + 1)
        )
        failed = {"type": "Warning", "reason": "FailedCreate", "involvedObject": {"uid": "u1"}}
        return [failed | {"message": message} for message in said]

    async def nudge_job(self, namespace: str, name: str, annotations: Any) -> None:
        del namespace, name, annotations
        self.nudged += 1


async def test_want_of_quota_is_told_seldom_in_the_server_s_words_and_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(patience, "_TOLD_S", 0.0)
    monkeypatch.setattr(kubernetes_wait, "_TICK_S", 0.01)
    monkeypatch.setattr(kubernetes_wait, "_LOOK_AGAIN_S", 0.0)
    api = WithoutQuota()
    watch = PodWatch(api, "lab", "a=b")
    options = KubernetesOptions(start_timeout_s=0.2)
    waits = [PodWait(JOB, api, "lab", options=options, watch=watch, followed=Followed()) for _ in range(2)]
    async with asyncio.timeout(30):
        outcomes = await asyncio.gather(*(wait.outcome() for wait in waits))
    assert {outcome.reason for outcome in outcomes} == {Reason.QUOTA}
    assert {str(outcome.message).partition(" used")[0] for outcome in outcomes} == {LACKING.partition(" used")[0]}
    assert api.nudged > 2
    (message,) = caplog.messages
    assert message.startswith(f"align waits to be started: {LACKING.format(used=0)}; ask for a larger quota")
    assert "kubectl describe quota --namespace lab" in message


def test_the_same_want_is_told_again_after_some_minutes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watch = PodWatch(Api([]), "lab", "a=b")
    watch.tell("align", LACKING.format(used=1))
    monkeypatch.setattr(kubernetes_watch, "_AGAIN_S", 0.0)
    watch.tell("sort", LACKING.format(used=2))
    assert [message.partition(" ")[0] for message in caplog.messages] == ["align", "sort"]


def test_a_refusal_for_another_reason_is_no_want_of_quota() -> None:
    said = 'jobs.batch "align" is forbidden: User "x" cannot create resource "jobs"'
    assert patience.exceeded_quota(said) is None
