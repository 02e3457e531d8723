"""What a cluster warns of in a namespace, asked for once for all calls of a run that wait.

An API server looks through all events of a namespace for those about one object, and may hold tens of thousands: a
question of each of many waiting calls would take its whole time.
"""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence

from cwl_prefect.backends.kubernetes.api.client import KubernetesApi
from cwl_prefect.backends.kubernetes.objects import KubernetesObject, text

_FRESH_S = 4.0
_TIMES = 100.0  # as long as an answer took, no other is asked for


class Warnings:
    """Holds warnings by the object that they are about.

    Args:
        api: Has them.
        namespace: Where the objects are.
    """

    def __init__(self, api: KubernetesApi, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._asking = asyncio.Lock()
        self._fresh_until_s = -math.inf
        self._found: Mapping[str, Sequence[KubernetesObject]] = {}

    async def about(self, uid: str) -> Sequence[KubernetesObject]:
        """Return the warnings about an object, oldest first, as they were a few seconds ago at the latest.

        A server that takes long to answer is asked less often.
        """
        async with self._asking:
            if time.monotonic() >= self._fresh_until_s:
                began_s = time.monotonic()
                self._found = _by_object(await self._api.warnings(self._namespace))
                now_s = time.monotonic()
                self._fresh_until_s = now_s + max(_FRESH_S, _TIMES * (now_s - began_s))
        return self._found.get(uid, ())


def _by_object(events: Sequence[KubernetesObject]) -> dict[str, list[KubernetesObject]]:
    found: dict[str, list[KubernetesObject]] = {}
    for event in events:
        found.setdefault(text(event, "involvedObject", "uid"), []).append(event)
    return found
