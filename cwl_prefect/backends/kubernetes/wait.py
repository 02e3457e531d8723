"""Waiting for the end of one call's pod, and telling apart all the ways in which it may not come."""

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from cwl_prefect.backends.kubernetes.api.client import KubernetesApi
from cwl_prefect.backends.kubernetes.jobs import pods_of
from cwl_prefect.backends.kubernetes.manifest.job import KubernetesOptions
from cwl_prefect.backends.kubernetes.objects import KubernetesObject, conditions, end_of, job_name, number, text
from cwl_prefect.backends.kubernetes.outcomes import (
    Obstacle,
    Stuck,
    left_by_node,
    measured,
    node_was_lost,
    outcome_of,
    outcome_of_deleted,
    started_at,
    stuck,
    told,
    unprepared,
    was_preempted,
)
from cwl_prefect.backends.kubernetes.patience import Patience, exceeded_quota, quota_advice
from cwl_prefect.backends.kubernetes.watch import Followed, PodWatch
from cwl_prefect.backends.naming import LABEL_PREFIX
from cwl_prefect.backends.outcomes import timed_out, unstarted
from cwl_prefect.errors import BackendError
from cwl_prefect.model.job import ContainerJob, JobOutcome, Reason

_TICK_S = 1.0
_LOOKS_S = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0)  # a Job says that its deadline has passed a moment after its pod is gone
_LOOK_AGAIN_S = 5.0
_DYING_S = 120.0  # after its grace; a busy node may look at its pods once a minute, and one that is gone does not
_SILENT_S = 10.0  # the same where the cluster says that the node has fallen silent
_NUDGE_ANNOTATION = f"{LABEL_PREFIX}nudged"
_OBSTACLE_REASONS = {
    Obstacle.IMAGE: Reason.NO_IMAGE,
    Obstacle.CONTAINER: Reason.NO_CONTAINER,
    Obstacle.NODE: Reason.UNSCHEDULABLE,
    Obstacle.PREPARATION: Reason.NO_CONTAINER,
}
_PLAIN_REASONS = (Reason.EXITED, Reason.SIGNALED, Reason.NOT_FOUND, Reason.NOT_EXECUTABLE, Reason.TIMED_OUT)


class PodWait:
    """Waits for the end of one Job's pod.

    Args:
        job: What the pod runs.
        api: Tells what the watch does not.
        namespace: Where the Job is.
        options: Holds the limits of patience.
        watch: Of the run.
        followed: The pod, as the watch sees it.
    """

    def __init__(
        self,
        job: ContainerJob,
        api: KubernetesApi,
        namespace: str,
        *,
        options: KubernetesOptions,
        watch: PodWatch,
        followed: Followed,
    ) -> None:
        self._job = job
        self._name = job_name(job.job_id)
        self._api = api
        self._namespace = namespace
        self._options = options
        self._watch = watch
        self._followed = followed
        self._began_s = time.monotonic()
        self._started_s: float | None = None
        self._patience: dict[Obstacle, Patience] = {}
        self._looked_s = self._began_s
        self._unprepared: Stuck | None = None
        self._dies_s: float | None = None
        self._alone = False
        self._for_quota = Patience(watch, job.name)

    async def outcome(self) -> JobOutcome:
        """Wait for the end and tell why it came.

        Raises:
            BackendError: Nothing can be learned about pods any more.
        """
        while True:
            self._followed.changed.clear()
            self._watch.check()
            pod = self._followed.pod
            found = await self._without_pod() if pod is None else await self._with_pod(pod)
            if found is not None:
                return found if pod is None else measured(pod, found)
            await self._change()

    async def _change(self) -> None:
        try:
            async with asyncio.timeout(self._pause_s()):
                await self._followed.changed.wait()
        except TimeoutError:
            return

    def _pause_s(self) -> float | None:
        if self._started_s is None or self._dies_s is not None:
            return _TICK_S
        if self._job.timeout_s is None:
            return None
        return max(0.0, self._started_s + self._job.timeout_s - time.monotonic())

    async def _with_pod(self, pod: KubernetesObject) -> JobOutcome | None:
        if text(pod, "metadata", "deletionTimestamp") and not self._alone:
            self._alone = True
            await self._stay_alone()
        stays = self._does_not_end(pod)
        if self._followed.deleted or stays:
            ended = await self._told(pod, await self._explained(pod, outcome_of_deleted(pod, self._job)))
            lost = stays and ended.reason is Reason.LOST  # whoever deleted it, only its node could have ended it
            return replace(ended, reason=Reason.NODE_LOST) if lost else ended
        outcome = outcome_of(pod, self._job)
        if outcome is not None:
            return await self._told(pod, await self._explained(pod, outcome))
        began = started_at(pod)
        if began is not None:
            return self._late(began)
        obstacle = stuck(pod) or await self._not_prepared(pod)
        self._patience = {kind: kept for kind, kept in self._patience.items() if obstacle and kind is obstacle.obstacle}
        return None if obstacle is None else await self._stuck(pod, obstacle)

    async def _not_prepared(self, pod: KubernetesObject) -> Stuck | None:
        """Look from time to time at what the node says of a pod that it prepares."""
        now_s = time.monotonic()
        if now_s >= self._looked_s + _LOOK_AGAIN_S:
            self._looked_s = now_s
            uid = text(pod, "metadata", "uid")
            self._unprepared = unprepared(await self._watch.warnings.about(uid))
            if self._unprepared is not None:  # whether it went on since then is no warning
                self._unprepared = unprepared(await self._api.events(self._namespace, uid))
        return self._unprepared

    async def _stay_alone(self) -> None:
        """Keep the Job from another pod, which it makes at once in place of one that is deleted but still runs."""
        with suppress(BackendError):
            await self._api.make_no_more_pods(self._namespace, self._name)

    def _does_not_end(self, pod: KubernetesObject) -> bool:
        """Check whether a pod that is deleted has stayed for too long, as one on a node that went away does.

        The grace that counts is the one that it was given: its node takes the rest of it away where it ends the pod.
        """
        if self._followed.deleted or not text(pod, "metadata", "deletionTimestamp"):
            return False
        now_s = time.monotonic()
        if self._dies_s is None:
            self._dies_s = now_s + (number(pod, "metadata", "deletionGracePeriodSeconds") or 0)
        return now_s > self._dies_s + (_SILENT_S if left_by_node(pod) else _DYING_S)

    def _late(self, began: datetime) -> JobOutcome | None:
        now_s = time.monotonic()
        if self._started_s is None:
            age_s = (datetime.now(UTC) - began).total_seconds() if self._followed.adopted else 0.0
            self._started_s = now_s - max(0.0, age_s)
        limit_s = self._job.timeout_s
        return timed_out(self._job, began) if limit_s is not None and now_s >= self._started_s + limit_s else None

    async def _stuck(self, pod: KubernetesObject, obstacle: Stuck) -> JobOutcome | None:
        patience = self._patience.setdefault(obstacle.obstacle, Patience(self._watch, self._job.name))
        for_room = obstacle.obstacle is Obstacle.NODE
        grace_s = 0.0 if obstacle.hopeless else self._options.image_grace_s
        of_cluster = obstacle.obstacle in (Obstacle.NODE, Obstacle.PREPARATION)
        limit_s = self._options.start_timeout_s if of_cluster else grace_s
        if not patience.ends(obstacle.message, limit_s, in_turn=for_room):
            return None
        message = "; ".join(filter(None, (obstacle.message, await self._events(pod))))
        return replace(self._failed(_OBSTACLE_REASONS[obstacle.obstacle], message), hint=obstacle.hint)

    async def _explained(self, pod: KubernetesObject, outcome: JobOutcome) -> JobOutcome:
        """Look whether a pod that was deleted, even while it started, had passed its Job's deadline."""
        if outcome.reason is Reason.START_FAILED and text(pod, "metadata", "deletionTimestamp"):
            said = f"its pod was deleted while it started: {outcome.message}"
            outcome = replace(outcome, reason=Reason.LOST, message=said)
        if outcome.reason is not Reason.LOST:
            return outcome
        for pause_s in _LOOKS_S:
            await asyncio.sleep(pause_s)
            job = await self._api.job(self._namespace, self._name)
            if job is None:
                return outcome
            ended = self._deadline(job)
            if ended is not None or number(job, "spec", "activeDeadlineSeconds") is None:
                return ended or outcome
        return outcome

    async def _without_pod(self) -> JobOutcome | None:
        now_s = time.monotonic()
        if now_s < self._looked_s + _LOOK_AGAIN_S:
            return None
        self._looked_s = now_s
        job = await self._api.job(self._namespace, self._name)
        if job is None:
            return self._failed(Reason.LOST, "its Job was deleted before it had a pod")
        for pod in await pods_of(self._api, self._namespace, self._name):
            self._followed.see(pod, deleted=False)
            return None
        ended = self._deadline(job)
        if ended is not None:
            return ended
        if end_of(job) is not None:
            return self._failed(Reason.LOST, "its Job ended, and its pod, which could tell how, is gone")
        refusals = told(await self._watch.warnings.about(text(job, "metadata", "uid")))
        return await self._refused(refusals, now_s) if refusals else None

    async def _refused(self, refusals: str, now_s: float) -> JobOutcome | None:
        """Be patient with a Job that gets no pod, above all for want of quota."""
        quota = exceeded_quota(refusals)
        if quota is not None:
            limit_s = self._options.start_timeout_s
            advice = quota_advice(self._namespace, limit_s)
            if self._for_quota.ends(quota, limit_s, in_turn=True, advice=advice):
                return self._failed(Reason.QUOTA, quota)
            # The Job's controller asks again by itself, but with pauses that soon take minutes.
            await self._api.nudge_job(self._namespace, self._name, {_NUDGE_ANNOTATION: datetime.now(UTC).isoformat()})
            return None
        late = now_s > self._began_s + self._options.image_grace_s
        return self._failed(Reason.START_FAILED, refusals) if late else None

    def _deadline(self, job: KubernetesObject) -> JobOutcome | None:
        for condition in conditions(job, kind="Failed"):
            if condition.get("status") == "True":
                late = condition.get("reason") == "DeadlineExceeded"
                return self._failed(Reason.TIMED_OUT if late else Reason.LOST, text(condition, "message"))
        return None

    async def _told(self, pod: KubernetesObject, outcome: JobOutcome) -> JobOutcome:
        """Add what the cluster tells about a pod to an outcome that is not the tool's own doing."""
        if outcome.reason in _PLAIN_REASONS:
            return outcome
        events = await self._api.events(self._namespace, text(pod, "metadata", "uid"))
        reason = outcome.reason
        if reason is Reason.LOST:
            reason = Reason.PREEMPTED if was_preempted(events) else reason
            reason = Reason.NODE_LOST if node_was_lost(events) else reason
        message = "; ".join(filter(None, (outcome.message, told(events)))) or None
        return replace(outcome, reason=reason, message=message)

    async def _events(self, of: KubernetesObject) -> str:
        return told(await self._api.events(self._namespace, text(of, "metadata", "uid")))

    def _failed(self, reason: Reason, message: str) -> JobOutcome:
        return unstarted(self._job, reason, message)
