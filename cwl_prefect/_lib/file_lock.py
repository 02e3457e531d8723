"""Advisory locks on files and directories, which the kernel releases when their holder ends, however it ends."""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from cwl_prefect._lib.own_files import make_private

POLL_INTERVAL_S = 0.05


@dataclass(frozen=True, slots=True)
class FileLock:
    """A lock that this process holds until it releases it or ends."""

    path: Path
    descriptor: int

    def release(self) -> None:
        """Let the others have it."""
        os.close(self.descriptor)

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
