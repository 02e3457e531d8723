"""Directories in which others may write too, such as those of a shared call cache.

Names are digests and nothing else, no link below the cache's own directory is followed, and nothing is removed but what
has such a name. Directories are held open meanwhile, so that nobody can put a link in their place.
"""

import contextlib
import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

_ENTRY_NAME = re.compile(r"[0-9a-f]{64}")
_OBJECT_NAME = re.compile(r"[0-9a-f]{40}-[0-9]+(-x)?")

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def is_name_of(kind: str, name: str) -> bool:
    """Check whether the cache gives such names to its ``entries`` or ``objects``."""
    return (_ENTRY_NAME if kind == "entries" else _OBJECT_NAME).fullmatch(name) is not None


def name_of(kind: str, name: str) -> str:
    """Return a name of an entry or object.

    Raises:
        OSError: The cache gives no such names.
    """
    if is_name_of(kind, name):
        return name
    raise OSError(errno.EINVAL, "not a name of the call cache", name)


@contextlib.contextmanager
def directory_below(root: Path, *below: str) -> Iterator[int]:
    """Open a directory below another, following no link there.

    Raises:
        OSError: It is not there, or a link.
    """
    descriptor = os.open(root, _DIRECTORY)
    try:
        for name in below:
            inner = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def opened_file(name: str, shard: int) -> Iterator[BufferedReader]:
    """Open a file to read it, and nothing else that may have its name."""
    with os.fdopen(os.open(name, _FILE, dir_fd=shard), "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", name)
        yield stream


def read_at_once(name: str, shard: int) -> tuple[bytes, float]:
    """Read a whole file and tell when it was changed, by as few calls of the system as there can be."""
    descriptor = os.open(name, _FILE, dir_fd=shard)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", name)
        return os.read(descriptor, status.st_size), status.st_mtime
    finally:
        os.close(descriptor)


def replace(part: Path, name: str, shard: int) -> None:
    """Put a file in place of another, or of a directory that somebody put there."""
    try:
        os.replace(part, name, dst_dir_fd=shard)
    except IsADirectoryError:
        remove(name, shard)
        os.replace(part, name, dst_dir_fd=shard)


def remove(name: str, shard: int) -> None:
    """Remove what has a name of the cache, whatever it is."""
    with contextlib.suppress(OSError):
        try:
            os.unlink(name, dir_fd=shard)  # of a link the link
        except IsADirectoryError:
            shutil.rmtree(name, dir_fd=shard)
