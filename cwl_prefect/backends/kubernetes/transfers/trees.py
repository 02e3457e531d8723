"""Trees of files as lists, which tell all of a file but the content of what is not small: that lies by its SHA-1.

Pods use this module too, where nothing but Python is.
"""

import base64
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple, TypeVar

FILE, DIRECTORY, LINK, OTHER = "file", "directory", "link", "other"
"""Kinds of what is in a tree; of another kind are pipes, sockets and devices."""

INLINE = 4096
"""Bytes up to which a file lies in the list itself: an object of its own would cost two requests."""

_AT_ONCE = 8

T = TypeVar("T")


class Entry(NamedTuple):
    """A file, directory, link or other thing in a tree.

    Attributes:
        path: Its path below the top of the tree, which itself has none.
        kind: What it is.
        mode: Its rights.
        mtime_ns: When a file or directory was changed.
        size: Bytes of a file.
        sha1: Digits of the SHA-1 of a file.
        content: Of a small file, as base64.
        target: Of a link.
    """

    path: str
    kind: str
    mode: int = 0
    mtime_ns: int = 0
    size: int = 0
    sha1: str = ""
    content: str | None = None
    target: str = ""


class Tree(NamedTuple):
    """A file or directory with all that is in it, directories before what they hold.

    Attributes:
        path: Where it is on the volume.
        writable: Whether the tool may change it.
        entries: What it holds.
    """

    path: str
    writable: bool
    entries: tuple[Entry, ...]


def encoded(trees: Iterable[Tree]) -> bytes:
    """Write trees as JSON; names that are not UTF-8 stay what they are."""
    found = [{**tree._asdict(), "entries": [entry._asdict() for entry in tree.entries]} for tree in trees]
    return json.dumps(found, separators=(",", ":")).encode()


def decoded(body: bytes) -> list[Tree]:
    """Read trees.

    Raises:
        ValueError: They are none.
    """
    try:
        return [Tree(**{**found, "entries": tuple(Entry(**entry) for entry in found["entries"])})
                for found in json.loads(body)]  # fmt: skip
    except (KeyError, TypeError) as error:
        raise ValueError(f"no list of files: {error}") from error


def scanned(top: str, *, follow: bool = False, sha1: Callable[[str], str] | None = None) -> Iterator[Entry]:
    """Yield what lies at a path.

    Args:
        top: The path.
        follow: Whether links become what they lead to.
        sha1: Tells the digits of the SHA-1 of a file; those who give none have it read.

    Raises:
        OSError: Something cannot be read, or contains itself by a link.
    """
    yield from _Scan(top, follow=follow, sha1=sha1 or sha1_of).entries("", frozenset())


class _Scan(NamedTuple):
    top: str
    follow: bool
    sha1: Callable[[str], str]

    def entries(self, path: str, above: frozenset[tuple[int, int]]) -> Iterator[Entry]:
        """Yield what lies at a path below the top."""
        place = inside(self.top, path)
        status = self._status(place)
        about = Entry(path=path, kind=OTHER, mode=stat.S_IMODE(status.st_mode) & 0o777)
        if stat.S_ISLNK(status.st_mode):
            yield about._replace(kind=LINK, target=os.readlink(place))
        elif stat.S_ISREG(status.st_mode):
            yield self._file(about, place, status)
        elif stat.S_ISDIR(status.st_mode):
            identity = (status.st_dev, status.st_ino)
            if identity in above:
                raise OSError(f"{place} contains itself by a link")
            yield about._replace(kind=DIRECTORY, mtime_ns=status.st_mtime_ns)
            for name in sorted(_readable(place, status, os.listdir)):
                yield from self.entries(f"{path}/{name}" if path else name, above | {identity})
        else:
            yield about

    def _status(self, place: str) -> os.stat_result:
        if self.follow:
            with suppress(FileNotFoundError):  # a link that leads nowhere is one
                return os.stat(place)
        return os.lstat(place)

    def _file(self, about: Entry, place: str, status: os.stat_result) -> Entry:
        about = about._replace(kind=FILE, size=status.st_size, mtime_ns=status.st_mtime_ns)
        if status.st_size > INLINE:
            return about._replace(sha1=_readable(place, status, self.sha1))
        content = _readable(place, status, _content)
        return about._replace(size=len(content), content=base64.b64encode(content).decode())


def _readable(place: str, status: os.stat_result, read: Callable[[str], T]) -> T:
    """Read what a tool may have closed to its own user."""
    try:
        return read(place)
    except PermissionError:
        os.chmod(place, stat.S_IMODE(status.st_mode) | stat.S_IRUSR | stat.S_IXUSR)
        return read(place)


def _content(place: str) -> bytes:
    with open(place, "rb") as stream:
        return stream.read()


def sha1_of(place: str) -> str:
    """Return the digits of the SHA-1 of a file."""
    with open(place, "rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.sha1(usedforsecurity=False)).hexdigest()


def make(top: str, entries: Iterable[Entry], get: Callable[[Entry, str], None]) -> None:
    """Make a tree where nothing is.

    Args:
        top: Where.
        entries: What it holds.
        get: Writes the content of a file that is not small to a path.

    Raises:
        ValueError: An entry lies elsewhere.
        OSError: Something cannot be written.
    """
    directories: list[tuple[Entry, str]] = []
    links, large = directories[:], directories[:]
    for entry in entries:
        place = inside(top, entry.path)
        if entry.kind == DIRECTORY:
            os.mkdir(place, 0o700)
            directories.append((entry, place))
        elif entry.kind == LINK:
            links.append((entry, place))
        elif entry.kind == OTHER:
            os.mkfifo(place)
        elif entry.content is None:
            large.append((entry, place))
        else:
            _make_file(entry, place, get)
    each(lambda found: _make_file(*found, get), large)
    for entry, place in links:  # after all else, so that nothing is written through one
        os.symlink(entry.target, place)
    for entry, place in reversed(directories):
        _finish(entry, place)


def inside(top: str, path: str) -> str:
    """Return a path below another.

    Raises:
        ValueError: It leads elsewhere.
    """
    if path and any(part in ("", ".", "..") or "\0" in part for part in path.split("/")):
        raise ValueError(f"{path!r} is no path inside of a directory")
    return f"{top}/{path}" if path else top


def _make_file(entry: Entry, place: str, get: Callable[[Entry, str], None]) -> None:
    if entry.content is None:
        get(entry, place)
    else:
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(base64.b64decode(entry.content))
    _finish(entry, place)


def _finish(entry: Entry, place: str) -> None:
    os.utime(place, ns=(entry.mtime_ns, entry.mtime_ns))
    os.chmod(place, entry.mode)


def each(work: Callable[[T], object], items: Iterable[T]) -> None:
    """Do some work for each item, a few at a time.

    Raises:
        Exception: What the first raised.
    """
    found = list(items)
    if len(found) < 2:  # most calls have so few that threads, which are slow to import, gain nothing
        for item in found:
            work(item)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for future in [threads.submit(work, item) for item in found]:
            future.result()
