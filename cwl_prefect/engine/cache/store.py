"""Where the call cache lies: entries by key, objects by content. Any of them may be gone or damaged at any time.

An entry begins with the SHA-256 of the rest, so that a torn one is never read. Everything is written aside, then
renamed. Nothing is synchronised to the disk: what a power failure tears is a miss.

Others may write in a shared cache too: its directories are read and changed as :mod:`.directory` does it.
"""

import contextlib
import hashlib
import os
import re
import socket
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cwl_prefect._lib.hashing import digits, stream_checksum
from cwl_prefect._lib.own_files import make_private, make_within, rights_within
from cwl_prefect.engine.cache.checksums import Checksums
from cwl_prefect.engine.cache.directory import (
    directory_below,
    is_name_of,
    name_of,
    opened_file,
    read_at_once,
    remove,
    replace,
)
from cwl_prefect.engine.staging.copying import clone, copy_content, write_all
from cwl_prefect.model.cache import StoredFile

_PARTS = "parts"
_PART_NAME = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\..+")
_HOST = socket.gethostname()
_ABANDONED_AFTER_S = 86_400.0  # on a machine whose processes cannot be seen
_USED_AGAIN_AFTER_S = 3600.0  # an entry's time of use is not written more often


class DamagedError(Exception):
    """An object is missing or not what it should be; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Something that the cache holds."""

    name: str
    size: int
    used_at: float


class Store(Protocol):
    """Keeps entries and objects. What cannot be read is None or DamagedError; what cannot be written is an OSError."""

    @property
    def place(self) -> str:
        """Where it is, for people."""
        ...

    @property
    def near(self) -> bool:
        """Whether it answers faster than another thread could be asked."""
        ...

    def read_entry(self, key: str, *, used: bool = True) -> bytes | None:
        """Return an entry, or None where there is none that is whole; ``used`` tells whether it is read to be used."""
        ...

    def write_entry(self, key: str, body: bytes) -> None:
        """Keep an entry in place of any other of its key."""
        ...

    def put(self, file: StoredFile, source: Path) -> None:
        """Keep a file's content."""
        ...

    def get(self, file: StoredFile, target: Path) -> None:
        """Put a file's content at a path that does not exist yet; never anything else than that content."""
        ...

    def entries(self) -> Iterator[Kept]:
        """Return the keys of all entries."""
        ...

    def objects(self) -> Iterator[Kept]:
        """Return the names of all objects."""
        ...

    def remove_entry(self, key: str) -> None:
        """Remove an entry, if it is there."""
        ...

    def remove_object(self, name: str) -> None:
        """Remove an object, if it is there."""
        ...

    def check_object(self, name: str) -> bool:
        """Read an object and tell whether it is what its name says."""
        ...


class LocalStore:
    """A cache in a directory of this machine or of a shared file system.

    An object is a clone of the file that a step made, or a hard link to it where the file system knows no clones: it is
    made read-only then, and whoever publishes such a file copies it.

    Args:
        root: The directory.
        checksums: Remembers which objects are whole.
    """

    def __init__(self, root: Path, checksums: Checksums) -> None:
        self._root = root
        self._checksums = checksums
        self._clones: bool | None = None
        self._made: set[str] = set()

    @property
    def place(self) -> str:
        """The directory."""
        return str(self._root)

    @property
    def near(self) -> bool:
        """It is a directory."""
        return True

    def read_entry(self, key: str, *, used: bool = True) -> bytes | None:
        """Return an entry, or None where there is none that is whole; ``used`` tells whether it is read to be used."""
        try:
            with self._shard("entries", key) as shard:
                content, used_at = read_at_once(key, shard)
                body = opened(content)
                if body is None:
                    remove(key, shard)
                elif used and time.time() - used_at > _USED_AGAIN_AFTER_S:
                    with contextlib.suppress(OSError):
                        os.utime(key, dir_fd=shard, follow_symlinks=False)
                return body
        except OSError:
            return None

    def write_entry(self, key: str, body: bytes) -> None:
        """Keep an entry in place of any other of its key, or of whatever is there.

        Raises:
            OSError: It cannot be written.
        """
        self._make("entries", key[:2])
        with self._shard("entries", key) as shard, self._aside() as part:
            descriptor = os.open(
                part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, rights_within(self._root) & 0o666
            )
            try:
                write_all(descriptor, sealed(body))
            finally:
                os.close(descriptor)
            replace(part, key, shard)

    def put(self, file: StoredFile, source: Path) -> None:
        """Keep a file's content; a whole object of that content stays, a damaged one is replaced.

        Raises:
            OSError: It cannot be written.
        """
        name = file.object_name
        path = self._object(name)
        self._make("objects", name[:2])
        with self._shard("objects", name) as shard, self._aside() as part:
            if self._is_whole(path, file):
                return
            if self._take(source, part, executable=file.executable):
                self._checksums.remember(path, part.stat(), file.checksum, lasting=True)
                replace(part, name, shard)
            else:
                replace(part, name, shard)
                if not self._is_whole(path, file):
                    raise OSError(f"{source} changed while it was copied")

    def get(self, file: StoredFile, target: Path) -> None:
        """Put a file's content at a path that does not exist yet.

        Raises:
            DamagedError: It is not there, or no longer what it was; it is removed then.
            OSError: The target cannot be written.
        """
        path = self._object(file.object_name)
        if not self._is_in_place(file.object_name) or not self._is_whole(path, file):
            self.remove_object(file.object_name)
            raise DamagedError(f"object {file.object_name} is missing or damaged")
        rights = 0o777 if file.executable else 0o666
        if self._cloned(path, target, rights):
            return
        try:
            target.hardlink_to(path)
        except FileNotFoundError as error:
            raise DamagedError(f"object {file.object_name} is gone") from error
        except OSError:
            copy_content(path, target, rights=rights)

    def entries(self) -> Iterator[Kept]:
        """Return the keys of all entries."""
        return self._kept("entries")

    def objects(self) -> Iterator[Kept]:
        """Return the names of all objects; they were used when they were last linked."""
        return self._kept("objects")

    def remove_entry(self, key: str) -> None:
        """Remove an entry, or whatever is in its place."""
        with contextlib.suppress(OSError), self._shard("entries", key) as shard:
            remove(key, shard)

    def remove_object(self, name: str) -> None:
        """Remove an object, or whatever is in its place."""
        with contextlib.suppress(OSError), self._shard("objects", name) as shard:
            remove(name, shard)

    def check_object(self, name: str) -> bool:
        """Read an object and tell whether it is what its name says."""
        try:
            with self._shard("objects", name) as shard, opened_file(name, shard) as stream:
                return name.startswith(f"{digits(stream_checksum(stream))}-")
        except OSError:
            return False

    def remove_leftovers(self) -> None:
        """Remove what processes left that were killed while they wrote."""
        with contextlib.suppress(OSError), self._directory(_PARTS) as directory, os.scandir(directory) as parts:
            for part in parts:
                with contextlib.suppress(OSError):
                    if _is_abandoned(part):
                        os.unlink(part.name, dir_fd=directory)

    @contextlib.contextmanager
    def _aside(self) -> Iterator[Path]:
        """Return a path that nobody else uses, and leave nothing there."""
        self._make(_PARTS)
        part = self._root / _PARTS / f"{os.getpid()}.{time.monotonic_ns()}.{threading.get_ident()}.{_HOST}"
        try:
            yield part
        finally:
            part.unlink(missing_ok=True)

    def _is_whole(self, path: Path, file: StoredFile) -> bool:
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode) or status.st_size != file.size:
                return False
            return (self._checksums.known(path, status) or self._checksums.compute(path)) == file.checksum
        except OSError:
            return False

    def _take(self, source: Path, part: Path, *, executable: bool) -> bool:
        """Make an object of a file; tells whether it is the file itself."""
        mode = 0o555 if executable else 0o444
        source = source.resolve(strict=True)  # of a link to another output the file itself
        if not self._cloned(source, part, 0o600):
            if source.stat().st_nlink == 1:  # any other name may be one of the user's own files
                try:
                    source.chmod(mode)
                    part.hardlink_to(source)
                except OSError:
                    pass
                else:
                    return True
            copy_content(source, part, rights=0o600)
        part.chmod(mode)
        return False

    def _cloned(self, source: Path, target: Path, rights: int) -> bool:
        if self._clones is not False:
            try:
                self._clones = clone(source, target, rights=rights)
            except OSError:
                return False
        return bool(self._clones)

    def _object(self, name: str) -> Path:
        return self._root / "objects" / name[:2] / name

    def _is_in_place(self, name: str) -> bool:
        """Check whether the directory of an object is there, with no link on the way."""
        try:
            with self._shard("objects", name):
                return True
        except OSError:
            return False

    def _directory(self, *below: str) -> contextlib.AbstractContextManager[int]:
        return directory_below(self._root, *below)

    def _shard(self, kind: str, name: str) -> contextlib.AbstractContextManager[int]:
        return directory_below(self._root, kind, name_of(kind, name)[:2])

    def _make(self, *below: str) -> None:
        directory = "/".join(below)
        if directory not in self._made:
            make_private(self._root)
            make_within(self._root / directory)
            with self._directory(*below):
                self._made.add(directory)

    def _kept(self, kind: str) -> Iterator[Kept]:
        for shard in _listed(self._root / kind):
            try:
                with self._directory(kind, shard) as descriptor:
                    names = sorted(os.listdir(descriptor))  # noqa: PTH208 - Path knows no descriptors
                    found = [kept for name in names if (kept := _kept(kind, name, descriptor))]
            except OSError:
                continue
            yield from found


def _listed(directory: Path) -> list[str]:
    try:
        return sorted(os.listdir(directory))  # noqa: PTH208 - names alone
    except OSError:
        return []


def _kept(kind: str, name: str, shard: int) -> Kept | None:
    """Return what is kept under a name; None where that is none of the cache's, or gone."""
    if not is_name_of(kind, name):
        return None
    try:
        status = os.stat(name, dir_fd=shard, follow_symlinks=False)
    except OSError:
        return None
    used_at = status.st_mtime if kind == "entries" else max(status.st_mtime, status.st_ctime)
    return Kept(name=name, size=status.st_size, used_at=used_at)


def _is_abandoned(part: "os.DirEntry[str]") -> bool:
    pid, _, rest = part.name.partition(".")
    if not _PART_NAME.fullmatch(part.name):
        return False  # not ours
    if not rest.endswith(f".{_HOST}"):
        return time.time() - part.stat(follow_symlinks=False).st_mtime > _ABANDONED_AFTER_S
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def sealed(body: bytes) -> bytes:
    """Write an entry so that a damaged one is told from a whole one."""
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def opened(content: bytes) -> bytes | None:
    """Return the body of an entry, or None where it is damaged."""
    seal, _, body = content.partition(b"\n")
    return body if seal == hashlib.sha256(body).hexdigest().encode() else None
