"""Which processes stand by: each holds its record locked while it lives, so a crash leaves nothing that misleads."""

import contextlib
import fcntl
import json
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic, sleep

from cwl_prefect.standby.namespaces import namespace
from cwl_prefect.standby.place import Place, private_directory

MOST = 3
"""Processes of one user that stand by at once: one for each terminal whose variables differ."""

_ENDING_S = 5.0
_POLL_S = 0.02


def hold(place: Place, home: Path) -> int | None:
    """Become the process that stands by there, and give the descriptor of its lock.

    None is given where another process is that already, or where as many as there may be stand by elsewhere.

    Args:
        place: Where to stand by.
        home: Home directory of cwl-prefect, by which :func:`end` finds this process.
    """
    with _alone(place.directory):
        if len(_held(place.directory)) >= MOST:
            return None
        descriptor = _try_lock(place.record)
        if descriptor is not None:
            os.ftruncate(descriptor, 0)
            said = {"pid": os.getpid(), "home": str(home), "processes": namespace("pid")}
            os.pwrite(descriptor, json.dumps(said).encode(), 0)
        return descriptor


def release(place: Place, descriptor: int) -> None:
    """Leave no trace of a process that stood by."""
    with _alone(place.directory):
        place.socket.unlink(missing_ok=True)
        place.record.unlink(missing_ok=True)
        os.close(descriptor)


def standing(home: Path, environment: Mapping[str, str]) -> list[int]:
    """Give the processes that stand by for calls with this home directory of cwl-prefect."""
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
    for pid in ending:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = monotonic() + _ENDING_S
    while monotonic() < deadline and set(ending).intersection(standing(home, environment)):
        sleep(_POLL_S)
    return len(ending)


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Let nobody else look at records or change them for a moment: who looks locks them too."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _held(directory: Path) -> list[Path]:
    """Give the records of those that live, and take away those of processes that were killed."""
    held = []
    for record in directory.glob("*.json"):
        descriptor = _try_lock(record)
        if descriptor is None:
            held.append(record)
            continue
        record.with_suffix(".sock").unlink(missing_ok=True)
        record.unlink(missing_ok=True)
        os.close(descriptor)
    return held


def _try_lock(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _read(record: Path) -> tuple[int, str]:
    try:
        said = json.loads(record.read_text(encoding="utf-8"))
        if said.get("processes") not in (None, namespace("pid")):
            return 0, ""  # in a container that shares the directory, or outside this one: the id is another process's
        return int(said["pid"]), str(said["home"])
    except (OSError, ValueError, KeyError):
        return 0, ""  # written by nothing of ours, or not to its end
