"""Copies of files and directories by content: links are resolved, and what is neither file nor directory is refused."""

import errno
import fcntl
import os
import shutil
import stat
from pathlib import Path

_WORTH_CLONING = 1024 * 1024  # bytes; a smaller file is copied before it is asked whether it can be shared
_CLONE = 0x40049409  # FICLONE of Linux: the copy shares its blocks with the original until one of them is changed


def clone(source: Path, target: Path, *, rights: int) -> bool:
    """Copy a file's content to a path that does not exist yet without reading it, where the file system can.

    Args:
        source: The file.
        target: The path.
        rights: What the copy gets, but for what the process's umask takes away.

    Raises:
        OSError: The source cannot be read, or the target cannot be made.
    """
    with source.open("rb") as origin, os.fdopen(_created(target, rights), "wb") as copied:
        try:
            fcntl.ioctl(copied.fileno(), _CLONE, origin.fileno())
        except OSError:
            cloned = False
        else:
            cloned = True
    if not cloned:
        target.unlink()
    return cloned


def copy_content(source: Path, target: Path, *, rights: int) -> None:
    """Copy a file's content to a path that does not exist yet, sharing its blocks where the file system can.

    Args:
        source: The file.
        target: The path.
        rights: What the copy gets, but for what the process's umask takes away.

    Raises:
        OSError: It cannot be read or written.
    """
    if source.stat().st_size < _WORTH_CLONING or not clone(source, target, rights=rights):
        os.close(_created(target, rights))
        shutil.copyfile(source, target)


def _created(path: Path, rights: int) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, rights)


def copy(source: Path, target: Path) -> None:
    """Copy a file, or a directory with all below it, to a path that does not exist yet.

    The owner may write to the copy; of the other rights the umask takes some. Links are followed; one that leads
    nowhere is left out.

    Raises:
        OSError: Something cannot be read or written, is neither file nor directory, or a directory contains itself by a
            link or contains the target.
    """
    _copy(source, target, source.stat(), frozenset())


def _copy(source: Path, target: Path, status: os.stat_result, above: frozenset[tuple[int, int]]) -> None:
    if stat.S_ISDIR(status.st_mode):
        _copy_directory(source, target, status, above)
    elif stat.S_ISREG(status.st_mode):
        copy_content(source, target, rights=stat.S_IMODE(status.st_mode) & 0o777 | stat.S_IRUSR | stat.S_IWUSR)
        _take_times(target, status)
    else:
        raise OSError(errno.EINVAL, "neither a file nor a directory", str(source))


def _copy_directory(source: Path, target: Path, status: os.stat_result, above: frozenset[tuple[int, int]]) -> None:
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        raise OSError(errno.ELOOP, "the copy would contain itself", str(source))
    target.mkdir(stat.S_IMODE(status.st_mode) & 0o777 | stat.S_IRWXU)
    made = target.stat()
    above |= {identity, (made.st_dev, made.st_ino)}
    with os.scandir(source) as entries:
        for entry in entries:
            try:
                inner = entry.stat()
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ELOOP):
                    continue
                raise
            _copy(Path(entry.path), target / entry.name, inner, above)
    _take_times(target, status)


def _take_times(target: Path, status: os.stat_result) -> None:
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def write_all(descriptor: int, content: bytes) -> None:
    """Write a small content to an open file, without a stream around it.

    Raises:
        OSError: It cannot be written.
    """
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
