"""Which of the downloads processes use now: each names them in a file that it locks for as long as it lives."""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from cwl_prefect._lib.file_lock import FileLock, try_lock
from cwl_prefect._lib.own_files import make_private

_HOLDING = Lock()


@dataclass(frozen=True, slots=True)
class _Lease:
    file: FileLock
    names: set[str] = field(default_factory=set)


_LEASES: dict[tuple[Path, int], _Lease] = {}


def hold(directory: Path, name: str) -> None:
    """Say that this process uses a download from now on, until it ends.

    Raises:
        OSError: It cannot be written down.
    """
    with _HOLDING:
        lease = _LEASES.get((directory, os.getpid()))
        if lease is None or not lease.file.path.exists():
            lease = _LEASES[directory, os.getpid()] = _Lease(_begun(directory))
        if name not in lease.names:
            lease.names.add(name)
            os.pwrite(lease.file.descriptor, f"{name}\n".encode(), os.fstat(lease.file.descriptor).st_size)


def held(directory: Path) -> frozenset[str]:
    """Return the downloads that processes use, and remove what those left that have ended."""
    names: set[str] = set()
    for path in directory.glob("*"):
        with suppress(FileNotFoundError):
            if (left := try_lock(path)) is None:
                names |= set(path.read_text("utf-8").split())
                continue
            path.unlink(missing_ok=True)
            left.release()
    return frozenset(names)


def _begun(directory: Path) -> FileLock:
    make_private(directory)
    while True:
        begun = try_lock(directory / os.urandom(16).hex())
        if begun is not None and begun.path.exists():  # else somebody who looked around took it for left behind
            return begun
