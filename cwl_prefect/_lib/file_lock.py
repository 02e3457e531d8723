"""Advisory locks on files, directories and keys, which the kernel releases when their holder ends, however it ends."""

import asyncio
import errno
import fcntl
import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Self

from cwl_prefect._lib.own_files import make_private, rights_within

POLL_INTERVAL_S = 0.05
_OFFSETS = 2**62
_BUSY = frozenset({errno.EACCES, errno.EAGAIN})
# Locks of the open file, not of the process, where the system has them: two runs of one process exclude each other.
_OPEN_FILE_LOCK = getattr(fcntl, "F_OFD_SETLK", None)


@dataclass(frozen=True, slots=True)
class FileLock:
    """A lock that this process holds until it releases it or ends."""

    path: Path
    descriptor: int

    def release(self) -> None:
        """Let the others have it."""
        os.close(self.descriptor)

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let the others have it."""
        self.release()

    def write(self, text: str) -> None:
        """Replace what the locked file says, for people and other processes to read."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, text.encode(), 0)


def try_lock(path: Path, *, shared: bool = False) -> FileLock | None:
    """Take a lock at once; return None where another process holds it.

    Raises:
        OSError: The file cannot be opened or its file system has no locks.
    """
    make_private(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return FileLock(path, descriptor)


@contextmanager
def locked_directory(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold the lock of a directory, which may be removed meanwhile.

    Args:
        path: The directory; no link to one.
        wait: Whether to wait, without end, while another process holds it.

    Raises:
        BlockingIOError: Another process holds it.
        OSError: It cannot be opened or its file system has no locks.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


async def lock(path: Path, *, timeout_s: float, shared: bool = False) -> FileLock | None:
    """Take a lock as soon as its holder lets go; return None after ``timeout_s`` seconds.

    Raises:
        OSError: The file cannot be opened or its file system has no locks.
    """
    deadline = monotonic() + timeout_s
    while True:
        held = try_lock(path, shared=shared)
        if held is not None or monotonic() > deadline:
            return held
        await asyncio.sleep(POLL_INTERVAL_S)


def is_locked(path: Path) -> bool:
    """Check whether some process holds the lock; never creates the file."""
    if not path.exists():
        return False
    held = try_lock(path)
    if held is None:
        return True
    held.release()
    return False


class KeyLocks:
    """Locks on keys among all processes that open the same file: bytes of it, at offsets that follow from the keys.

    Who may write beside the file may lock it: it is made with the rights of its directory, less the umask. A file
    system without locks, or one that cannot be written, gives every lock at once: calls are then not held back.

    Args:
        path: The file; it is made where it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._broken = False

    def take(self, key: str) -> bool:
        """Take the lock of a key, or tell that somebody else holds it."""
        descriptor = self._opened()
        if descriptor is None:
            return True
        try:
            _change(descriptor, fcntl.F_WRLCK, key)
        except OSError as error:
            if error.errno in _BUSY:
                return False
            self._broken = True
        return True

    def give_back(self, key: str) -> None:
        """Let others have the lock of a key."""
        if self._descriptor is not None and not self._broken:
            _change(self._descriptor, fcntl.F_UNLCK, key)

    def close(self) -> None:
        """Release all locks."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _opened(self) -> int | None:
        if self._descriptor is None and not self._broken:
            try:
                make_private(self._path.parent)
                rights = rights_within(self._path.parent) & 0o666
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, rights)
            except OSError:
                self._broken = True
        return None if self._broken else self._descriptor


def _change(descriptor: int, kind: int, key: str) -> None:
    offset = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % _OFFSETS
    if _OPEN_FILE_LOCK is None:
        fcntl.lockf(descriptor, fcntl.LOCK_UN if kind == fcntl.F_UNLCK else fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset)
    else:
        fcntl.fcntl(descriptor, _OPEN_FILE_LOCK, struct.pack("hhqqi4x", kind, os.SEEK_SET, offset, 1, 0))
