"""Which processes stand by: each holds its record locked while it lives, so a crash leaves nothing that misleads."""

import contextlib
import json
import os
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from time import monotonic, sleep

from cwl_prefect._lib.file_lock import FileLock, locked_directory, try_lock
from cwl_prefect._lib.namespaces import namespace
from cwl_prefect.server.standby.place import Place, private_directory

MOST = 3
"""Processes of one user that stand by at once; whoever was not called for longest gives way to another."""

_ENDING_S = 5.0
_POLL_S = 0.02


def hold(place: Place, home: Path) -> FileLock | None:
    """Become the process that stands by there, and return its locked record; None where another is that.

    Args:
        place: Where to stand by.
        home: Home directory of cwl-prefect, by which :func:`end` finds this process.
    """
    with _alone(place.directory):
        held = try_lock(place.record)
        if held is not None:
            tell(held, home)
            others = sorted(set(_held(place.directory)) - {place.record}, key=_last_called)
            _terminate(pid for pid, _ in map(_read, others[: max(len(others) + 1 - MOST, 0)]))
        return held


def tell(held: FileLock, home: Path, **more: object) -> None:
    """Write into a held record who this process is, and what else calls are to know."""
    held.write(json.dumps({"pid": os.getpid(), "home": str(home), "processes": namespace("pid"), **more}))


def release(place: Place, held: FileLock) -> None:
    """Leave no trace of a process that stood by."""
    with _alone(place.directory):
        place.socket.unlink(missing_ok=True)
        place.record.unlink(missing_ok=True)
        held.release()


def standing(home: Path, environment: Mapping[str, str]) -> list[int]:
    """Return the processes that stand by for calls with this home directory of cwl-prefect."""
    with contextlib.suppress(OSError):
        directory = private_directory(environment)
        with _alone(directory):
            return [pid for pid, of_home in map(_read, _held(directory)) if of_home == str(home)]
    return []


def end(home: Path, environment: Mapping[str, str]) -> int:
    """End the processes that stand by for calls with this home directory, and tell how many there were.

    What they run goes on.
    """
    ending = standing(home, environment)
    _terminate(ending)
    deadline = monotonic() + _ENDING_S
    while monotonic() < deadline and set(ending).intersection(standing(home, environment)):
        sleep(_POLL_S)
    return len(ending)


def _alone(directory: Path) -> contextlib.AbstractContextManager[None]:
    """Let nobody else look at records or change them for a moment: who looks locks them too."""
    return locked_directory(directory, wait=True)


def _held(directory: Path) -> list[Path]:
    """Return the records of those that live, and take away those of processes that were killed."""
    held = []
    for record in directory.glob("*.json"):
        left = try_lock(record)
        if left is None:
            held.append(record)
            continue
        record.with_suffix(".sock").unlink(missing_ok=True)
        record.unlink(missing_ok=True)
        left.release()
    return held


def _last_called(record: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return record.stat().st_mtime
    return 0.0


def _terminate(pids: Iterable[int]) -> None:
    for pid in filter(None, pids):  # 0 would be this process's own group
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def _read(record: Path) -> tuple[int, str]:
    try:
        said = json.loads(record.read_text(encoding="utf-8"))
        if said.get("processes") not in (None, namespace("pid")):
            return 0, ""  # in a container that shares the directory, or outside this one: the id is another process's
        return int(said["pid"]), str(said["home"])
    except (OSError, ValueError, KeyError):
        return 0, ""  # written by nothing of ours, or not to its end
