"""Write small files whole: a reader finds the old or the new one, and whoever is killed leaves no half of one."""

import errno
import os
from pathlib import Path

_DESCRIPTORS = Path("/proc/self/fd")
_UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL})


def write_whole(path: Path, content: bytes, *, mode: int = 0o600, durable: bool = False) -> None:
    """Write a file into a directory that is there, in place of one that may be there.

    Where the file system can (``O_TMPFILE`` of open(2)), the file has no name before it is complete.

    Args:
        path: The file.
        content: What it is to hold.
        mode: Its rights, but for those that the process's umask takes away.
        durable: Whether it is to survive a failure of power from now on.

    Raises:
        OSError: It cannot be written; what was there is there still.
    """
    part = path.with_name(f".{os.urandom(8).hex()}.part")
    try:
        descriptor, nameless = _created(part, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            if durable:
                os.fsync(descriptor)
            if nameless:
                _name(descriptor, part)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_where_named(path: Path, content: bytes) -> None:
    """Write where a person wants it: a file whole, and into what is none, as ``/dev/null`` or a pipe, as it stays.

    Raises:
        OSError: It cannot be written.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if is_device(path):
        path.write_bytes(content)
    else:
        write_whole(path, content, mode=0o666)


def is_device(path: Path) -> bool:
    """Check whether a path leads to what is there, and is neither a file nor a directory."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _created(part: Path, mode: int) -> tuple[int, bool]:
    """Open a new file, and tell whether it has no name yet."""
    kind = getattr(os, "O_TMPFILE", None)
    if kind is not None and _DESCRIPTORS.exists():
        try:
            return os.open(part.parent, os.O_WRONLY | os.O_CLOEXEC | kind, mode), True
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
    return os.open(part, os.O_WRONLY | os.O_CLOEXEC | os.O_CREAT | os.O_EXCL, mode), False


def _name(descriptor: int, path: Path) -> None:
    directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        # Only with a directory does Python call linkat(2), which follows the link that a descriptor is.
        os.link(_DESCRIPTORS / str(descriptor), path, src_dir_fd=directory)
    finally:
        os.close(directory)
