"""What a pod's state says."""

import os
from pathlib import Path
from typing import Any

import pytest

from cwl_prefect.backends.kubernetes.launcher import NOT_SHARED, NOT_WRITABLE, Streams, launched
from cwl_prefect.backends.kubernetes.objects import job_name, label_value, selector
from cwl_prefect.backends.kubernetes.outcomes import (
    Obstacle,
    doubtful,
    left_by_node,
    measured,
    node_was_lost,
    outcome_of,
    outcome_of_deleted,
    stuck,
    told,
    was_preempted,
)
from cwl_prefect.model.job import Reason
from tests.calls import job

JOB = job(Path("/logs"), job_id="j", name="align")


def pod(phase: str = "Running", *, terminated: Any = None, waiting: Any = None, **status: Any) -> dict[str, Any]:
    state = {"terminated": terminated} if terminated else {"waiting": waiting} if waiting else {}
    return {
        "spec": {"containers": [{"name": "tool"}, {"name": "sidecar"}]},
        "status": {"phase": phase, "containerStatuses": [{"name": "tool", "state": state}], **status},
    }


@pytest.mark.parametrize(
    ("ended", "reason", "exit_code"),
    [
        pytest.param({"exitCode": 0}, Reason.EXITED, 0, id="well"),
        pytest.param({"exitCode": 7, "reason": "Error"}, Reason.EXITED, 7, id="badly"),
        pytest.param({"exitCode": 143, "reason": "Error"}, Reason.SIGNALED, 143, id="signal"),
        pytest.param({"exitCode": 137, "reason": "OOMKilled"}, Reason.OUT_OF_MEMORY, 137, id="memory"),
        pytest.param({"exitCode": 127, "message": "CommandNotFound: x"}, Reason.NOT_FOUND, None, id="not-found"),
        pytest.param({"exitCode": 127, "message": "x: not found"}, Reason.EXITED, 127, id="the-tool-s-own-127"),
        pytest.param({"exitCode": 126, "message": "CommandNotExecutable: x"}, Reason.NOT_EXECUTABLE, None, id="126"),
        pytest.param({"exitCode": 128, "reason": "StartError"}, Reason.START_FAILED, None, id="start"),
        pytest.param({"exitCode": 137, "reason": "ContainerStatusUnknown"}, Reason.NODE_LOST, None, id="unknown"),
    ],
)
def test_how_a_container_ended(ended: dict[str, Any], reason: Reason, exit_code: int | None) -> None:
    outcome = outcome_of(pod("Failed", terminated=ended), JOB)
    assert outcome is not None
    assert (outcome.reason, outcome.exit_code) == (reason, exit_code)


def test_what_the_launcher_says_of_usage_is_no_message_for_people() -> None:
    ended = {"exitCode": 137, "reason": "OOMKilled", "message": "memory.peak 1048576\nend\n"}
    found = pod("Failed", terminated=ended)
    found["metadata"], found["spec"]["nodeName"] = {"name": "align-x"}, "n1"
    found["status"]["containerStatuses"][0]["imageID"] = f"docker-pullable://python@sha256:{'a' * 64}"
    outcome = outcome_of(found, JOB)
    assert outcome is not None
    known = measured(found, outcome)
    assert (known.message, known.usage.peak_memory_mib, known.usage.cpu_s) == (None, 1, None)
    assert (known.node, known.container, known.image_digest) == ("n1", "align-x", f"sha256:{'a' * 64}")


@pytest.mark.parametrize(
    "sidecar", [{"name": "proxy"}, {"name": "proxy", "command": ["proxy"]}], ids=["plain", "command"]
)
def test_a_sidecar_that_is_put_first_is_not_taken_for_the_call(sidecar: dict[str, Any]) -> None:
    command = launched(["align"], Streams(stdin="i", stdout="o", stderr="e"))
    begun = {"startedAt": "2026-01-01T00:00:00Z"}
    ended = {**begun, "exitCode": 7, "finishedAt": "2026-01-01T00:01:00Z"}
    found = {
        "spec": {"containers": [sidecar, {"name": "tool", "command": command}]},
        "status": {
            "phase": "Running",
            "containerStatuses": [
                {"name": "proxy", "state": {"running": begun}},
                {"name": "tool", "state": {"terminated": ended}},
            ],
        },
    }
    outcome = outcome_of(found, JOB)
    assert outcome is not None
    assert (outcome.reason, outcome.exit_code) == (Reason.EXITED, 7)


@pytest.mark.parametrize(
    "ended",
    [
        {"exitCode": 125, "reason": "Error", "message": f"StartFailed: {NOT_SHARED}"},
        {"exitCode": 128, "reason": "StartError", "message": 'exec: "/.cwl-prefect/busybox": no such file'},
    ],
    ids=["no files", "no launcher"],
)
def test_a_volume_that_is_not_the_run_s(ended: dict[str, Any]) -> None:
    outcome = outcome_of(pod("Failed", terminated=ended), JOB)
    assert outcome is not None
    assert (outcome.reason, outcome.exit_code, outcome.message) == (Reason.START_FAILED, None, NOT_SHARED)
    assert "--workdir" in str(outcome.hint)


def test_a_mount_that_fails_is_told_as_it_is() -> None:
    said = 'error mounting "/volume" to rootfs at "/.cwl-prefect": permission denied'
    outcome = outcome_of(pod("Failed", terminated={"exitCode": 128, "reason": "StartError", "message": said}), JOB)
    assert outcome is not None
    assert (outcome.reason, outcome.message, outcome.hint) == (Reason.START_FAILED, said, None)


@pytest.mark.parametrize(("said", "message"), [(NOT_WRITABLE, "who cannot write"), (NOT_SHARED, NOT_SHARED)])
@pytest.mark.parametrize("of", ["pod", "container"])
def test_a_user_of_the_template_who_cannot_write_is_named_with_the_fix(of: str, said: str, message: str) -> None:
    made = pod("Failed", terminated={"exitCode": 125, "reason": "Error", "message": f"StartFailed: {said}"})
    other = os.geteuid() + 1
    made["spec"]["securityContext"] = {"runAsUser": other if of == "pod" else os.geteuid()}
    if of == "container":
        made["spec"]["containers"][0]["securityContext"] = {"runAsUser": other}
    outcome = outcome_of(made, JOB)
    assert outcome is not None
    assert message in str(outcome.message)
    assert f"runAsUser: {other}" in str(outcome.hint)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("Evicted", Reason.EVICTED),
        ("Preempting", Reason.PREEMPTED),
        ("NodeLost", Reason.NODE_LOST),
        ("Shutdown", Reason.NODE_LOST),
        ("DeadlineExceeded", Reason.TIMED_OUT),
        ("OutOfcpu", Reason.EVICTED),
        ("OutOfpods", Reason.EVICTED),
        ("OutOfnvidia.com/gpu", Reason.EVICTED),
        ("UnexpectedAdmissionError", Reason.EVICTED),
        ("TopologyAffinityError", Reason.EVICTED),
    ],
)
def test_how_a_pod_was_ended(said: str, reason: Reason) -> None:
    outcome = outcome_of(pod("Failed", reason=said, message="by the node"), JOB)
    assert outcome is not None
    assert (outcome.reason, outcome.exit_code) == (reason, None)
    assert outcome.message == f"{said}: by the node"


def test_newer_servers_say_it_by_a_condition() -> None:
    target = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "room"}
    outcome = outcome_of(pod("Failed", conditions=[target]), JOB)
    assert outcome is not None
    assert (outcome.reason, outcome.message) == (Reason.PREEMPTED, "room")


def test_a_call_that_ended_well_before_its_pod_was_evicted_ended_well() -> None:
    outcome = outcome_of(pod("Failed", terminated={"exitCode": 0}, reason="Evicted"), JOB)
    assert outcome is not None
    assert outcome.reason is Reason.EXITED


def test_a_failed_init_container_is_named() -> None:
    status = {"name": "fetch", "state": {"terminated": {"exitCode": 3, "message": "no route"}}}
    outcome = outcome_of(pod("Failed", initContainerStatuses=[status]), JOB)
    assert outcome is not None
    assert outcome.reason is Reason.START_FAILED
    assert outcome.message == "the init container fetch ended with exit code 3 no route"


def test_a_pod_that_goes_on_has_no_outcome() -> None:
    assert outcome_of(pod("Running"), JOB) is None
    assert outcome_of(pod("Pending"), JOB) is None


@pytest.mark.parametrize(
    ("exit_code", "reason"), [(137, Reason.LOST), (143, Reason.LOST), (1, Reason.EXITED), (0, Reason.EXITED)]
)
def test_a_call_that_is_killed_with_its_pod_is_lost(exit_code: int, reason: Reason) -> None:
    deleted = pod("Failed", terminated={"exitCode": exit_code})
    outcome = outcome_of({**deleted, "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}, JOB)
    assert outcome is not None
    assert outcome.reason is reason


def test_a_pod_that_somebody_deleted_is_lost() -> None:
    assert outcome_of_deleted(pod("Running"), JOB).reason is Reason.LOST


@pytest.mark.parametrize(
    ("reason", "obstacle", "hopeless"),
    [
        ("ErrImagePull", Obstacle.IMAGE, False),
        ("ImagePullBackOff", Obstacle.IMAGE, False),
        ("InvalidImageName", Obstacle.IMAGE, True),
        ("CreateContainerConfigError", Obstacle.CONTAINER, False),
    ],
)
def test_what_a_container_waits_for(reason: str, obstacle: Obstacle, hopeless: bool) -> None:
    found = stuck(pod("Pending", waiting={"reason": reason, "message": "because"}))
    assert found is not None
    assert (found.obstacle, found.hopeless, found.message) == (obstacle, hopeless, f"{reason}: because")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("cwl-prefect-launcher", "CWL_PREFECT_KUBERNETES_HELPER_IMAGE", id="launcher"),
        pytest.param("proxy", "container proxy in the work pool's job template", id="template"),
    ],
)
def test_the_hint_names_the_image_that_is_missing(name: str, words: str) -> None:
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}
    status = {"name": name, "image": "lab/helper:1", "state": waiting}
    found = stuck(pod("Pending", waiting={"reason": "PodInitializing"}, initContainerStatuses=[status]))
    assert found is not None
    assert found.hint is not None
    assert words in found.hint
    assert "lab/helper:1" in found.hint


def test_of_the_tool_s_own_image_the_document_has_the_name() -> None:
    found = stuck(pod("Pending", waiting={"reason": "ImagePullBackOff"}))
    assert found is not None
    assert found.hint is None


def test_a_pod_without_a_node_waits_for_one() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    found = stuck(pod("Pending", conditions=[condition]))
    assert found is not None
    assert (found.obstacle, found.message) == (Obstacle.NODE, "Unschedulable: 0/1 nodes")


@pytest.mark.parametrize("waiting", [{"reason": "ContainerCreating"}, {"reason": "PodInitializing"}, None])
def test_a_pod_that_is_being_made_is_not_stuck(waiting: Any) -> None:
    assert stuck(pod("Pending", waiting=waiting)) is None


def test_events_tell_of_preemption_and_of_lost_nodes() -> None:
    assert was_preempted([{"reason": "Preempted"}])
    assert node_was_lost([{"reason": "TaintManagerEviction"}])
    assert not was_preempted([{"reason": "Pulled"}])


def test_the_last_distinct_warnings_are_told() -> None:
    events = [{"type": "Warning", "reason": "Failed", "message": text} for text in ("a", "a", "b")]
    assert told([{"type": "Normal", "reason": "Pulled", "message": "x"}, *events]) == "Failed: a; Failed: b"


def test_what_took_a_pod_s_place_is_told() -> None:
    event = {"type": "Normal", "reason": "Preempted", "message": "Preempted by default/urgent on node n1"}
    assert told([event]) == "Preempted: Preempted by default/urgent on node n1"


@pytest.mark.parametrize("value", ["align[3]", "é", "x" * 100, "-a-", "a b"])
def test_any_value_becomes_a_legal_label(value: str) -> None:
    label = label_value(value)
    assert len(label) <= 63
    assert label[0].isalnum()
    assert label[-1].isalnum()
    assert label.isascii()


def test_different_values_have_different_labels() -> None:
    assert label_value("a[1]") != label_value("a(1)")
    assert selector({"b": "2", "a": "1"}) == "a=1,b=2"
    assert len(job_name("x" * 500)) <= 63


@pytest.mark.parametrize(
    ("ready", "containers", "spec", "silent"),
    [
        pytest.param("False", "True", {}, True, id="the-cluster-s-word"),
        pytest.param("True", "True", {}, False, id="ready"),
        pytest.param("False", "False", {}, False, id="the-node-s-word"),
        pytest.param("False", "True", {"readinessGates": [{"conditionType": "x"}]}, False, id="somebody-else-s-gate"),
    ],
)
def test_a_node_that_fell_silent(ready: str, containers: str, spec: dict[str, Any], silent: bool) -> None:
    said = [{"type": "Ready", "status": ready}, {"type": "ContainersReady", "status": containers}]
    assert left_by_node({"spec": spec, "status": {"conditions": said}}) is silent


def test_a_call_that_two_pods_began_is_tried_again() -> None:
    ended = outcome_of(pod("Succeeded", terminated={"exitCode": 0}), JOB)
    assert ended is not None
    outcome = doubtful(ended)
    assert (outcome.reason, outcome.exit_code) == (Reason.LOST, None)
    assert "another in its place" in str(outcome.message)


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        pytest.param('2 persistentvolumeclaim "runs" not found.', "make the claim runs", id="claim"),
        pytest.param("1 Insufficient amd.com/gpu, 1 Insufficient cpu.", "that has amd.com/gpu,", id="device"),
        pytest.param("2 Insufficient nvidia.com/gpu.", "that has nvidia.com/gpu,", id="device-alone"),
        pytest.param("2 Insufficient cpu.", "None", id="room"),
    ],
)
def test_what_no_node_can_give(said: str, hint: str) -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": f"0/2 nodes: {said}"}
    found = stuck(pod("Pending", conditions=[condition]))
    assert found is not None
    assert found.obstacle is Obstacle.NODE
    assert hint in str(found.hint)
