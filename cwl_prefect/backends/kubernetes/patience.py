"""Waiting for what a cluster has not for now: how long, and what is said about it meanwhile."""

import re
import time
from collections.abc import Awaitable, Callable

from tenacity import AsyncRetrying, retry_if_exception

from cwl_prefect.backends.kubernetes.api.client import PAUSES, RefusedError
from cwl_prefect.backends.kubernetes.watch import PodWatch

_TOLD_S = 30.0  # of waiting without any prospect, after which it is said what for
_EXCEEDED = re.compile(r"exceeded quota: [^;]*")


class Patience:
    """Waits for one thing that keeps one call from its beginning.

    Args:
        watch: Of the run; tells whether other calls may give room back.
        call: The call's name.
    """

    def __init__(self, watch: PodWatch, call: str) -> None:
        self._watch = watch
        self._call = call
        self._since_s: float | None = None

    def ends(self, obstacle: str, limit_s: float, *, in_turn: bool, advice: str | None = None) -> bool:
        """Check whether the call has waited for long enough; after a while the run's log says what for.

        Args:
            obstacle: What it waits for, in the cluster's words.
            limit_s: Seconds after which it is given up.
            in_turn: Whether it may get what other calls of the run give back, so that only the time counts in which
                none of them runs.
            advice: What can be done about it.
        """
        now_s = time.monotonic()
        if self._since_s is None or (in_turn and self._watch.running()):
            self._since_s = now_s
        if now_s >= self._since_s + limit_s:
            return True
        if now_s >= self._since_s + _TOLD_S:
            self._watch.tell(self._call, obstacle, advice)
        return False


async def with_quota(
    create: Callable[[], Awaitable[None]], patience: Patience, limit_s: float, *, namespace: str
) -> None:
    """Create something as soon as its namespace has quota for it.

    Raises:
        RefusedError: It had not for too long, or the server refuses for another reason.
    """
    advice = quota_advice(namespace, limit_s)

    def waits(error: BaseException) -> bool:
        """Check whether only quota is missing, and for how long."""
        quota = exceeded_quota(error.message) if isinstance(error, RefusedError) else None
        return quota is not None and not patience.ends(quota, limit_s, in_turn=True, advice=advice)

    async for attempt in AsyncRetrying(wait=PAUSES, retry=retry_if_exception(waits), reraise=True):
        with attempt:
            await create()


def exceeded_quota(said: str) -> str | None:
    """Return the server's last words about a quota, without the names of what it refused; None where there are none."""
    found = _EXCEEDED.findall(said)
    return found[-1].strip() if found else None


def quota_advice(namespace: str, limit_s: float) -> str:
    """Return what can be done about a quota, and how long is waited for that."""
    return (
        f"ask for a larger quota (`kubectl describe quota --namespace {namespace}`), or let what uses it end; the call "
        f"fails once none of the run has had a node for {limit_s:g} s (CWL_PREFECT_KUBERNETES_START_TIMEOUT_S)"
    )
