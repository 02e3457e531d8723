"""The end of a call whose pod shares no volume: it has ended once what it left was uploaded, and lies here."""

import asyncio
from contextlib import suppress
from dataclasses import replace

from cwl_prefect.backends.base import JobHandle
from cwl_prefect.backends.kubernetes.objects import KubernetesObject, number, part, parts, text
from cwl_prefect.backends.kubernetes.transfers.containers import FETCH_NAME, STORE_NAME
from cwl_prefect.backends.kubernetes.transfers.program import LACKING
from cwl_prefect.backends.kubernetes.transfers.transfers import Transfers, call_of
from cwl_prefect.backends.kubernetes.watch import Followed, PodWatch
from cwl_prefect.model.job import JobOutcome, Reason

_RAN = frozenset({Reason.EXITED, Reason.SIGNALED, Reason.OUT_OF_MEMORY})
_TICK_S = 5.0  # how often whoever waits looks whether there is still a watch


async def received(
    transfers: Transfers, handle: JobHandle, outcome: JobOutcome, followed: Followed, watch: PodWatch
) -> JobOutcome:
    """Wait until what a call left was uploaded, and bring it here.

    Args:
        transfers: What brings it.
        handle: The call's job.
        outcome: How its command ended.
        followed: Its pod.
        watch: Whatever tells of that.

    Returns:
        How it ended: as its command did, or as lost where what it needed was not there or what it left did not come.

    Raises:
        BackendError: Nothing is learned of the pod any more, or the store does not answer.
    """
    if outcome.reason is Reason.START_FAILED and number(_ended(followed, FETCH_NAME), "exitCode") == LACKING:
        return replace(outcome, reason=Reason.LOST)  # who sends it again sends what was missing too
    if outcome.reason not in _RAN:
        return outcome
    while not (stored := _ended(followed, STORE_NAME)) and not followed.replaced:
        followed.changed.clear()
        watch.check()
        with suppress(TimeoutError):
            async with asyncio.timeout(_TICK_S):
                await followed.changed.wait()
    if number(stored, "exitCode") == 0 and await transfers.receive(call_of(handle.job)):
        return outcome
    why = text(stored, "message") or "its pod went away before that"
    message = f"what it left was not uploaded: {why}"
    return replace(outcome, reason=Reason.LOST, exit_code=None, signal=None, message=message)


def _ended(followed: Followed, name: str) -> KubernetesObject:
    """Return how a container has ended; an empty object where it has not."""
    pod = followed.pod or {}
    statuses = [*parts(pod, "status", "initContainerStatuses"), *parts(pod, "status", "containerStatuses")]
    return next((part(status, "state", "terminated") for status in statuses if text(status, "name") == name), {})
