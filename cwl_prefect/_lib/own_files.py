"""What is the user's alone: made so whatever the umask, and read only where nobody else could have written."""

import errno
import grp
import os
import pwd
import stat
from pathlib import Path

_PRIVATE = stat.S_IRWXU
_ACCESS_LIST = "system.posix_acl_access"  # acl(5)
_OTHERS = stat.S_IWGRP | stat.S_IWOTH  # the rights that an access control list gives show in those of the group


def read_own(path: Path) -> bytes:
    """Return the content of a file that is the user's own and that nobody else may write.

    Raises:
        OSError: It cannot be read, is no regular file, or somebody else could have written it.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        if status.st_uid != os.geteuid() or status.st_mode & _OTHERS:
            raise _foreign(path)
        return stream.read()


def read_trusted(path: Path) -> bytes:
    """Return the content of a file that a person names, where only that person and root could have written it.

    Links are followed, as those that a cluster makes for its ConfigMaps, and pipes are read.

    Raises:
        OSError: It cannot be read, or somebody else could have written it.
    """
    with path.open("rb") as stream:
        if not _only_trusted_write(path, os.fstat(stream.fileno())):
            raise _foreign(path)
        return stream.read()


def is_trusted(path: Path) -> bool:
    """Check whether only the user and root could have written a file, or put something into a directory."""
    try:
        return _only_trusted_write(path, path.stat())
    except OSError:
        return False


def _only_trusted_write(path: Path, status: os.stat_result) -> bool:
    if status.st_mode & stat.S_IWOTH or (status.st_mode & stat.S_IWGRP and not _is_private(status.st_gid, path)):
        return False
    return {status.st_uid, path.lstat().st_uid} <= {os.geteuid(), 0}


def _is_private(group_id: int, path: Path) -> bool:
    """Check whether a file's group is the user's alone, as where the umask is 002, and no access list adds others."""
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(group_id)
        listed = _ACCESS_LIST in os.listxattr(path)
    except (KeyError, OSError):
        return False
    own = group_id == user.pw_gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
    return own and not listed


def _foreign(path: Path) -> PermissionError:
    return PermissionError(errno.EPERM, "somebody else could have written it", str(path))


def open_private(path: str, flags: int) -> int:
    """Open a file for :func:`open`, which makes it for the user alone where it is not there yet.

    Raises:
        OSError: It cannot be opened.
    """
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def make_private(directory: Path) -> None:
    """Make a directory for the user alone where there is none, and all above it that are missing.

    One that is there keeps its rights. Nothing is asked first: mostly it is there.

    Raises:
        OSError: It cannot be made.
    """
    _make(directory, _PRIVATE)


def make_within(directory: Path) -> None:
    """Make a directory where there is none, and all missing above it, open to others at most as what holds them.

    Raises:
        OSError: It cannot be made.
    """
    if not directory.parent.is_dir():
        make_within(directory.parent)
    _make(directory, rights_within(directory.parent))


def rights_within(directory: Path) -> int:
    """Return the rights of what is made in a directory, before the umask takes some: those of the directory.

    Where everybody keeps their own things (the sticky bit), as in ``/tmp``, they are the user's alone.

    Raises:
        OSError: The directory is not there.
    """
    mode = directory.stat().st_mode
    return _PRIVATE if mode & stat.S_ISVTX else _PRIVATE | stat.S_IMODE(mode) & 0o777


def _make(directory: Path, rights: int) -> None:
    try:
        directory.mkdir(rights)
    except FileNotFoundError:
        if not directory.parent.is_dir():
            _make(directory.parent, _PRIVATE)
        directory.mkdir(rights, exist_ok=True)  # it fails in /proc, and not where somebody made it meanwhile
    except OSError:
        if not directory.is_dir():
            raise
