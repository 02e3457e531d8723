"""Ending a process together with everything that it started."""

import asyncio
import os
import signal
import time
from contextlib import suppress

from cwl_prefect.backends.local.watchdog_process import PAUSE_S, Member, family, kill

_ROUNDS = 20


async def end_family(leader: int, *, grace_s: float) -> None:
    """End a session leader with all its descendants: SIGTERM, then SIGKILL for those that stay.

    A descendant that left the session and lost its parent before this is called (a daemon) cannot be found.

    Args:
        leader: A process that leads its own session and was not reaped yet, so that its number is still its own.
        grace_s: Seconds that they have to end by themselves.
    """
    members: set[Member] = set()
    told: set[Member] = set()
    deadline = time.monotonic() + grace_s
    while members := family({leader}, members):
        for pid, _ in members - told:
            with suppress(OSError):
                os.kill(pid, signal.SIGTERM)
                os.kill(pid, signal.SIGCONT)
        told |= members
        if time.monotonic() >= deadline:
            break
        await asyncio.sleep(PAUSE_S)
    for _ in range(_ROUNDS):
        members = family({leader}, members)
        if not members:
            return
        kill(members)
        await asyncio.sleep(PAUSE_S)
