"""What a pod's state says about the call that it runs: how it ended, or what it is stuck at."""

import os
import re
import signal
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from cwl_prefect.backends.kubernetes.launcher import LAUNCHER_NAME, NOT_SHARED, NOT_WRITABLE, PROGRAM_PATH, used
from cwl_prefect.backends.kubernetes.objects import KubernetesObject, conditions, moment, number, part, parts, text
from cwl_prefect.backends.kubernetes.sidecars import is_native
from cwl_prefect.backends.outcomes import signal_of
from cwl_prefect.model.job import ContainerJob, JobOutcome, Reason

_POD_REASONS = {
    "Evicted": Reason.EVICTED,
    "Preempting": Reason.PREEMPTED,
    "Preempted": Reason.PREEMPTED,
    "NodeLost": Reason.NODE_LOST,
    "NodeAffinity": Reason.NODE_LOST,
    "NodeShutdown": Reason.NODE_LOST,
    "Shutdown": Reason.NODE_LOST,
    "Terminated": Reason.NODE_LOST,
    "DeadlineExceeded": Reason.TIMED_OUT,
    "UnexpectedAdmissionError": Reason.EVICTED,
    "TopologyAffinityError": Reason.EVICTED,
}
_NO_ROOM = "OutOf"  # cpu, memory, pods or a device: taken on the node since the scheduler chose it
_DISRUPTIONS = {
    "PreemptionByScheduler": Reason.PREEMPTED,
    "PreemptionByKubeScheduler": Reason.PREEMPTED,
    "DeletionByTaintManager": Reason.NODE_LOST,
    "DeletionByPodGC": Reason.NODE_LOST,
    "EvictionByEvictionAPI": Reason.EVICTED,
    "TerminationByKubelet": Reason.EVICTED,
}
_NOT_BEGUN = ("ContainerCannotRun", "StartError")
_SHARE = (
    "let the directory for workspaces (--workdir, or CWL_PREFECT_HOME) lie on the volume that the pods mount; "
    "`cwl-prefect doctor --pool` tells what each side sees."
)
_PREPARE = (
    "make what it names in the namespace of the pods (a volume, claim, secret or config map), or correct the work "
    "pool's job template; `cwl-prefect doctor --pool NAME` tries a pod"
)
_LAUNCHER_WORDS = (Reason.NOT_FOUND, Reason.NOT_EXECUTABLE, Reason.START_FAILED)
_NO_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ErrInvalidImage",
                       "ImageInspectError", "RegistryUnavailable"})  # fmt: skip
_NO_CONTAINER = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_HOPELESS_IMAGE = frozenset({"InvalidImageName", "ErrImageNeverPull"})
_NOT_PREPARED = frozenset({"FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox"})
_PREPARED = frozenset({"Pulling", "Pulled", "Created", "Started"})
_HARMLESS_EVENTS = frozenset({"MissingClusterDNS"})
_PREEMPTION_EVENTS = frozenset({"Preempted", "Preempting"})
_NO_CLAIM = re.compile(r'persistentvolumeclaim "([^"]+)" not found')
_NO_DEVICE = re.compile(r"Insufficient ([\w.-]+/[\w.-]+\w)")
_KILLED = (128 + signal.SIGKILL, 128 + signal.SIGTERM)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SHOWN_EVENTS = 4


class Obstacle(StrEnum):
    """What keeps a pod from starting."""

    IMAGE = "image"
    CONTAINER = "container"
    NODE = "node"
    PREPARATION = "preparation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """A pod that does not get on."""

    obstacle: Obstacle
    message: str
    hopeless: bool = False  # no time will mend it
    hint: str | None = None  # where it is not the tool's own image


def call_container(pod: KubernetesObject) -> KubernetesObject:
    """Return the container that runs the call, by its command: meshes put sidecars first, and others change it."""
    containers = parts(pod, "spec", "containers")
    ours = (container for container in containers if _runs_launcher(container))
    return next(ours, containers[0] if containers else {})


def _runs_launcher(container: KubernetesObject) -> bool:
    command = container.get("command")
    return isinstance(command, list) and command[:1] == [PROGRAM_PATH]


def main_container(pod: KubernetesObject) -> KubernetesObject:
    """Return the status of the container that runs the call."""
    name = text(call_container(pod), "name")
    statuses = parts(pod, "status", "containerStatuses")
    return next((status for status in statuses if status.get("name") == name), {})


def started_at(pod: KubernetesObject) -> datetime | None:
    """Return when the call's container started; None where it has not."""
    state = part(main_container(pod), "state")
    return moment(state, "running", "startedAt") or moment(state, "terminated", "startedAt")


def outcome_of(pod: KubernetesObject, job: ContainerJob) -> JobOutcome | None:
    """Return how a call ended, or None while its pod may still get on."""
    ended = part(main_container(pod), "state", "terminated")
    if ended and number(ended, "exitCode") == 0:
        return _outcome(job, ended, Reason.EXITED)
    disruption = _disruption(pod)
    if disruption is not None and (ended or text(pod, "status", "phase") == "Failed"):
        return _outcome(job, ended, disruption, message=_pod_message(pod))
    deleted = bool(text(pod, "metadata", "deletionTimestamp"))
    if deleted and (number(ended, "exitCode") in _KILLED or (not ended and text(pod, "status", "phase") == "Failed")):
        return _outcome(job, ended, Reason.LOST, message=_pod_message(pod) or "its pod was deleted")
    if ended:
        return _by_user(pod, _judged(job, ended))
    if text(pod, "status", "phase") == "Failed":
        return _outcome(
            job, {}, Reason.START_FAILED, message=_init_failure(pod) or _pod_message(pod) or "its pod failed"
        )
    return None


def measured(pod: KubernetesObject, outcome: JobOutcome) -> JobOutcome:
    """Return an outcome with what a pod's state says of where the call ran and what it used."""
    status = main_container(pod)
    digest = _DIGEST.search(text(status, "imageID"))
    return replace(
        outcome,
        usage=used(text(status, "state", "terminated", "message")) or outcome.usage,
        node=text(pod, "spec", "nodeName") or None,
        container=text(pod, "metadata", "name") or None,
        image_digest=digest and digest[0],
    )


def outcome_of_deleted(pod: KubernetesObject, job: ContainerJob) -> JobOutcome:
    """Return how a call ended whose pod somebody else deleted."""
    outcome = outcome_of(pod, job)
    if outcome is not None:
        return outcome
    reason = _disruption(pod) or Reason.LOST
    return _outcome(job, {}, reason, message=_pod_message(pod) or "its pod was deleted")


def stuck(pod: KubernetesObject) -> Stuck | None:
    """Return what keeps a pod from starting, if anything does."""
    own = main_container(pod).get("name")
    statuses = [*parts(pod, "status", "initContainerStatuses"), *parts(pod, "status", "containerStatuses")]
    for status in statuses:
        waiting = part(status, "state", "waiting")
        reason = text(waiting, "reason")
        message = f"{reason}: {text(waiting, 'message')}".rstrip(": ")
        if reason in _NO_IMAGE:
            hint = None if text(status, "name") == own else _foreign_image(status)
            return Stuck(obstacle=Obstacle.IMAGE, message=message, hopeless=reason in _HOPELESS_IMAGE, hint=hint)
        if reason in _NO_CONTAINER:
            return Stuck(obstacle=Obstacle.CONTAINER, message=message)
    for condition in conditions(pod, kind="PodScheduled"):
        if condition.get("status") == "False":
            message = f"{text(condition, 'reason')}: {text(condition, 'message')}"
            return Stuck(obstacle=Obstacle.NODE, message=message, hint=_missing_from_nodes(message))
    return None


def unprepared(events: Iterable[KubernetesObject]) -> Stuck | None:
    """Return from a pod's events why its node cannot prepare it, as where a volume is missing; its state does not say.

    Nodes try again without end. What they said earlier counts no more once they ask for its images.
    """
    every = list(events)
    failed = [event for event in every if text(event, "reason") in _NOT_PREPARED]
    if not failed or any(text(event, "reason") in _PREPARED for event in every):
        return None
    message = f"{text(failed[-1], 'reason')}: {text(failed[-1], 'message')}"
    return Stuck(obstacle=Obstacle.PREPARATION, message=message, hint=_PREPARE)


def _missing_from_nodes(message: str) -> str | None:
    """Return what to do where nodes want something else than room; None where they want that."""
    if claim := _NO_CLAIM.search(message):
        return (
            f"make the claim {claim[1]} in the namespace of the pods, or name another one by the work pool's job "
            "variables or its template; `cwl-prefect doctor --pool NAME` looks for it"
        )
    if device := _NO_DEVICE.search(message):
        return (
            f"ask for fewer devices, add a node that has {device[1]}, or tell by CWL_PREFECT_KUBERNETES_GPU what the "
            "cluster calls its devices"
        )
    return None


def _foreign_image(status: KubernetesObject) -> str:
    """Return where the image of a container is named that is not the call's own."""
    name, image = text(status, "name"), text(status, "image")
    if name == LAUNCHER_NAME:
        return f"name by CWL_PREFECT_KUBERNETES_HELPER_IMAGE an image like {image} that the cluster can pull"
    return f"check the image {image} of the container {name} in the work pool's job template, and its pull secrets"


def left_by_node(pod: KubernetesObject) -> bool:
    """Check whether a pod's node has fallen silent: the cluster calls the pod unready, of which its node said nothing.

    The node's controller does so by the condition ``Ready`` alone, and the node takes it back as soon as it is there
    again.
    """
    if parts(pod, "spec", "readinessGates"):
        return False
    said = {
        kind: {text(each, "status") for each in conditions(pod, kind=kind)} for kind in ("Ready", "ContainersReady")
    }
    return "False" in said["Ready"] and "True" in said["ContainersReady"]


def was_preempted(events: Iterable[KubernetesObject]) -> bool:
    """Check by a pod's events whether it made room for one of higher priority; old servers say it nowhere else."""
    return any(text(event, "reason") in _PREEMPTION_EVENTS for event in events)


def node_was_lost(events: Iterable[KubernetesObject]) -> bool:
    """Check by a pod's events whether its node went away."""
    return any(text(event, "reason") in ("NodeNotReady", "TaintManagerEviction", "NodeLost") for event in events)


def doubtful(outcome: JobOutcome) -> JobOutcome:
    """Return the outcome of a call that two pods began at the same time: nobody knows what each of them wrote."""
    message = "its pod was deleted, and while it still ran its Job started another in its place"
    return replace(outcome, reason=Reason.LOST, exit_code=None, signal=None, message=message)


def told(events: Iterable[KubernetesObject]) -> str:
    """Return the last events that say what went wrong, for people; empty where there are none."""
    warnings = [
        f"{text(event, 'reason')}: {text(event, 'message')}"
        for event in events
        if (text(event, "type") == "Warning" and text(event, "reason") not in _HARMLESS_EVENTS)
        or text(event, "reason") in _PREEMPTION_EVENTS
    ]
    distinct = list(dict.fromkeys(warnings))
    return "; ".join(distinct[-_SHOWN_EVENTS:])


def _disruption(pod: KubernetesObject) -> Reason | None:
    said = text(pod, "status", "reason")
    reason = Reason.EVICTED if said.startswith(_NO_ROOM) else _POD_REASONS.get(said)
    if reason is not None:
        return reason
    for condition in conditions(pod, kind="DisruptionTarget"):
        if condition.get("status") == "True":
            return _DISRUPTIONS.get(text(condition, "reason"), Reason.EVICTED)
    return None


def _pod_message(pod: KubernetesObject) -> str | None:
    said = [text(pod, "status", "reason"), text(pod, "status", "message")]
    said += [text(condition, "message") for condition in conditions(pod, kind="DisruptionTarget")]
    return ": ".join(filter(None, said)) or None


def _init_failure(pod: KubernetesObject) -> str | None:
    sidecars = {text(each, "name") for each in parts(pod, "spec", "initContainers") if is_native(each)}
    for status in parts(pod, "status", "initContainerStatuses"):
        ended = part(status, "state", "terminated")
        if ended and number(ended, "exitCode") != 0 and text(status, "name") not in sidecars:
            return (
                f"the init container {text(status, 'name')} ended with exit code {number(ended, 'exitCode')}"
                f" {text(ended, 'message')}".rstrip()
            )
    return None


def _by_user(pod: KubernetesObject, outcome: JobOutcome) -> JobOutcome:
    """Name the user of a pod who cannot see or write what the run made, where it is not the run's own."""
    security = {**part(pod, "spec", "securityContext"), **part(call_container(pod), "securityContext")}
    user = number(security, "runAsUser")
    if outcome.message not in (NOT_WRITABLE, NOT_SHARED) or user is None or user == os.geteuid():
        return outcome
    fix = (
        f"take runAsUser: {user} out of the security context in the work pool's job template, so that pods run as the "
        f"run does (user {os.geteuid()}), or let the run itself be of user {user}"
    )
    if outcome.message == NOT_SHARED:
        return replace(outcome, hint=f"{outcome.hint} Or the user {user} of the pod may not read it: {fix}.")
    message = f"the pod runs as user {user}, who cannot write to the workspace of user {os.geteuid()}"
    return replace(outcome, message=message, hint=fix)


def _judged(job: ContainerJob, ended: KubernetesObject) -> JobOutcome:
    said, reason = text(ended, "message"), text(ended, "reason")
    if used(said) is not None:
        said = ""
    word, _, explained = said.partition(": ")
    if NOT_SHARED in said or (reason in _NOT_BEGUN and PROGRAM_PATH in said):
        return replace(_outcome(job, {**ended, "exitCode": None}, Reason.START_FAILED, message=NOT_SHARED), hint=_SHARE)
    if word in _LAUNCHER_WORDS and number(ended, "exitCode") in (125, 126, 127):
        return _outcome(job, {**ended, "exitCode": None}, Reason(word), message=explained)
    if reason in _NOT_BEGUN:
        return _outcome(job, {**ended, "exitCode": None}, Reason.START_FAILED, message=said or reason)
    if reason == "ContainerStatusUnknown":
        return _outcome(job, {**ended, "exitCode": None}, Reason.NODE_LOST, message=said or reason)
    if reason == "OOMKilled":
        return _outcome(job, ended, Reason.OUT_OF_MEMORY, message=said or None)
    signal = signal_of(number(ended, "exitCode") or 0)
    return _outcome(job, ended, Reason.EXITED if signal is None else Reason.SIGNALED)


def _outcome(job: ContainerJob, ended: KubernetesObject, reason: Reason, *, message: str | None = None) -> JobOutcome:
    now = datetime.now(UTC)
    finished = moment(ended, "finishedAt") or now
    exit_code = None if reason is Reason.TIMED_OUT else number(ended, "exitCode")
    return JobOutcome(
        job_id=job.job_id,
        reason=reason,
        exit_code=exit_code,
        started_at=min(moment(ended, "startedAt") or finished, finished),
        finished_at=finished,
        message=message,
        signal=signal_of(exit_code or 0),
    )
