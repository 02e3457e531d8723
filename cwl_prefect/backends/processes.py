"""Ending a process together with everything that it started."""

import asyncio
import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psutil import Process

_POLL_S = 0.02
_ROUNDS = 20


def _session(leader: int) -> "set[Process]":
    import psutil

    found = set()
    for pid in psutil.pids():
        with suppress(OSError, psutil.Error):
            if os.getsid(pid) == leader:
                found.add(psutil.Process(pid))
    return found


def _alive(process: "Process") -> bool:
    import psutil

    try:
        return process.is_running() and process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.Error:
        return False


def family(leader: int, known: "set[Process]") -> "set[Process]":
    """Find what runs of a session leader, of its session, and of all their descendants.

    Args:
        leader: A process that leads its own session and was not reaped yet, so that its number is still its own.
        known: Members found before; descendants of theirs are found even when the leader is gone.
    """
    import psutil

    members = known | _session(leader)
    for process in tuple(members):
        with suppress(psutil.Error):
            members.update(process.children(recursive=True))
    return {process for process in members if _alive(process)}


def _send(members: "set[Process]", *signals: signal.Signals) -> None:
    import psutil

    for process in members:
        for number in signals:
            with suppress(psutil.Error):
                process.send_signal(number)


async def end_family(leader: int, *, grace_s: float) -> None:
    """End a session leader with all its descendants: SIGTERM, then SIGKILL for those that stay.

    A descendant that left the session and lost its parent before this is called (a daemon) cannot be found.

    Args:
        leader: A process that leads its own session and was not reaped yet.
        grace_s: Seconds that they have to end by themselves.
    """
    told: set[Process] = set()
    deadline = time.monotonic() + grace_s
    while running := family(leader, told):
        _send(running - told, signal.SIGTERM, signal.SIGCONT)
        told |= running
        if time.monotonic() >= deadline:
            break
        await asyncio.sleep(_POLL_S)
    for _ in range(_ROUNDS):
        told = family(leader, told)
        if not told:
            return
        _send(told, signal.SIGKILL)
        await asyncio.sleep(_POLL_S)
