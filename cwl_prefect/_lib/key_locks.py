"""One lock for each key, in one file: bytes of it are locked, at an offset that follows from the key.

The kernel holds the locks and lets them go when their process ends, however it ends. No lock leaves a file behind.
"""

import errno
import fcntl
import hashlib
import os
import struct
from pathlib import Path

from cwl_prefect._lib.own_files import make_private, rights_within

_OFFSETS = 2**62
_BUSY = frozenset({errno.EACCES, errno.EAGAIN})
# Locks of the open file, not of the process, where the system has them: two runs of one process exclude each other.
_OPEN_FILE_LOCK = getattr(fcntl, "F_OFD_SETLK", None)


class KeyLocks:
    """Locks on keys among all processes that open the same file.

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
