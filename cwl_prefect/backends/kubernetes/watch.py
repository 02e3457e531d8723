"""One watch for all pods of a run in a namespace, however many calls wait for theirs."""

import asyncio
import logging
import math
import random
import re
import time
from dataclasses import dataclass, field

from cwl_prefect._lib.cancellation import cancel_and_wait
from cwl_prefect._lib.single_flight import ignore_error
from cwl_prefect.backends.kubernetes.api.client import HistoryLostError, KubernetesApi, RefusedError
from cwl_prefect.backends.kubernetes.objects import KubernetesObject, part, text
from cwl_prefect.backends.kubernetes.outcomes import started_at
from cwl_prefect.backends.kubernetes.warnings import Warnings
from cwl_prefect.errors import BackendError

JOB_NAME_LABEL = "job-name"
"""Label with the Job's name that Kubernetes itself puts on a Job's pods."""

_logger = logging.getLogger(__name__)

PAUSE_S = 1.0
"""Seconds between two watches where one could not go on; most by chance, so that runs do not ask at once."""

_AGAIN_S = 600.0
_NUMBER = re.compile(r"\d+")  # how much is used or free changes all the time


@dataclass(slots=True, kw_only=True)
class Followed:
    """The pod of one Job as it was seen last."""

    pod: KubernetesObject | None = None
    deleted: bool = False
    adopted: bool = False  # another driver started it, so that its time runs since then
    twice: bool = False  # another pod of the Job began the call too

    @property
    def replaced(self) -> bool:
        """Whether the Job may have made another pod, as it does in place of one that is deleted."""
        return self.deleted or (self.pod is not None and bool(text(self.pod, "metadata", "deletionTimestamp")))

    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def see(self, pod: KubernetesObject, *, deleted: bool) -> None:
        """Take in a pod's state; of several pods of one Job the first counts."""
        if self.pod is not None and text(self.pod, "metadata", "uid") != text(pod, "metadata", "uid"):
            self.twice = self.twice or started_at(pod) is not None
            return
        self.pod, self.deleted = pod, deleted
        self.changed.set()


class PodWatch:
    """Follows the pods of a run, through disconnects and lost history.

    Args:
        api: Where the pods are.
        namespace: Their namespace.
        selector: Label selector for the pods of the run.

    Attributes:
        warnings: What the cluster warns of there.
    """

    def __init__(self, api: KubernetesApi, namespace: str, selector: str) -> None:
        self.warnings = Warnings(api, namespace)
        self._api = api
        self._namespace = namespace
        self._selector = selector
        self._followed: dict[str, Followed] = {}
        self._task: asyncio.Task[None] | None = None
        self._failure: BackendError | None = None
        self._told_s: dict[str, float] = {}

    def follow(self, job_name: str, *, adopted: bool = False) -> Followed:
        """Follow the pod of a Job; the watch begins with the first."""
        if self._task is None or self._task.done():
            self._failure = None
            self._task = asyncio.create_task(self._watch(), name=f"watch {self._selector}")
            self._task.add_done_callback(ignore_error)
        return self._followed.setdefault(job_name, Followed(adopted=adopted))

    def forget(self, job_name: str) -> None:
        """Follow the pod of a Job no longer."""
        self._followed.pop(job_name, None)

    def check(self) -> None:
        """Raise why there is no watch any more.

        Raises:
            BackendError: The API server refuses to list or watch pods, or was away for too long.
        """
        if self._failure is not None:
            raise self._failure

    def running(self) -> bool:
        """Check whether any followed pod has a node and has not ended, so that others may well wait for its place."""
        return any(
            text(followed.pod, "spec", "nodeName") and text(followed.pod, "status", "phase") in ("Pending", "Running")
            for followed in self._followed.values()
            if followed.pod is not None and not followed.deleted
        )

    def tell(self, call: str, obstacle: str, advice: str | None = None) -> None:
        """Warn of what keeps a call from its beginning; seldom, and once for all calls that wait for the same."""
        now_s, kind = time.monotonic(), _NUMBER.sub("", obstacle)
        if now_s < self._told_s.get(kind, -math.inf) + _AGAIN_S:
            return
        self._told_s[kind] = now_s
        _logger.warning("%s waits to be started: %s%s", call, obstacle, f"; {advice}" if advice else "")

    async def close(self) -> None:
        """End the watch."""
        if self._task is not None:
            await cancel_and_wait(self._task)

    async def _watch(self) -> None:
        version = ""
        while True:
            try:
                if not version:
                    version = await self._list()
                async for change in self._api.watch_pods(self._namespace, self._selector, version):
                    version = text(change, "object", "metadata", "resourceVersion") or version
                    self._take(change)
                continue  # the server ends every watch after a while
            except HistoryLostError:
                version = ""
            except RefusedError as error:
                if error.status in (401, 403):
                    self._fail(error)
                    return
            except BackendError:
                pass  # the next list, or the next watch, will be as patient as the client is
            await asyncio.sleep(PAUSE_S * random.uniform(0.5, 1.0))  # noqa: S311 - spreads requests, hides nothing

    async def _list(self) -> str:
        pods, version = await self._api.pods(self._namespace, self._selector)
        present = {text(pod, "metadata", "uid") for pod in pods}
        for followed in self._followed.values():
            if followed.pod is not None and text(followed.pod, "metadata", "uid") not in present:
                followed.see(followed.pod, deleted=True)
        for pod in pods:
            self._see(pod, deleted=False)
        return version

    def _take(self, change: KubernetesObject) -> None:
        if change.get("type") in ("ADDED", "MODIFIED", "DELETED"):
            self._see(part(change, "object"), deleted=change.get("type") == "DELETED")

    def _see(self, pod: KubernetesObject, *, deleted: bool) -> None:
        followed = self._followed.get(text(pod, "metadata", "labels", JOB_NAME_LABEL))
        if followed is not None:
            followed.see(pod, deleted=deleted)

    def _fail(self, error: BackendError) -> None:
        self._failure = error
        for followed in self._followed.values():
            followed.changed.set()
