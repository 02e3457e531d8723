"""Where the call cache lies: entries by key, objects by content. Any of them may be gone or damaged at any time.

An entry begins with the SHA-256 of the rest, so that a torn one is never read. Everything is written aside, then
renamed. Nothing is synchronised to the disk: what a power failure tears is a miss.
"""

import contextlib
import hashlib
import os
import shutil
import socket
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cwl_prefect.engine.checksums import Checksums
from cwl_prefect.engine.copying import clone, copy_content, write_all
from cwl_prefect.model.cache import StoredFile

_PARTS = "parts"
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
        """Give an entry, or None where there is none that is whole; ``used`` tells whether it is read to be used."""
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
        """Give the keys of all entries."""
        ...

    def objects(self) -> Iterator[Kept]:
        """Give the names of all objects."""
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
        """Give an entry, or None where there is none that is whole; ``used`` tells whether it is read to be used."""
        path = f"{self._root}/entries/{key[:2]}/{key}"
        try:
            content, used_at = _read_at_once(path)
        except OSError:
            return None
        body = opened(content)
        if body is None:
            self.remove_entry(key)
        elif used and time.time() - used_at > _USED_AGAIN_AFTER_S:
            with contextlib.suppress(OSError):
                os.utime(path)
        return body

    def write_entry(self, key: str, body: bytes) -> None:
        """Keep an entry in place of any other of its key, or of whatever is there.

        Raises:
            OSError: It cannot be written.
        """
        directory = f"{self._root}/entries/{key[:2]}"
        self._make(directory)
        self._make(f"{self._root}/{_PARTS}")
        part = self._part()
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            try:
                write_all(descriptor, sealed(body))
            finally:
                os.close(descriptor)
            _replace(part, f"{directory}/{key}")
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise

    def put(self, file: StoredFile, source: Path) -> None:
        """Keep a file's content; a whole object of that content stays, a damaged one is replaced.

        Raises:
            OSError: It cannot be written.
        """
        path = self._path("objects", file.object_name)
        if path.exists() and self._is_whole(path, file):
            return
        self._make(str(path.parent))
        with self._aside() as part:
            if self._take(source, part, executable=file.executable):
                self._checksums.remember(path, part.stat(), file.checksum, lasting=True)
                _replace(part, path)
            else:
                _replace(part, path)
                if not self._is_whole(path, file):
                    raise OSError(f"{source} changed while it was copied")

    def get(self, file: StoredFile, target: Path) -> None:
        """Put a file's content at a path that does not exist yet.

        Raises:
            DamagedError: It is not there, or no longer what it was; it is removed then.
            OSError: The target cannot be written.
        """
        path = self._path("objects", file.object_name)
        if not self._is_whole(path, file):
            self.remove_object(file.object_name)
            raise DamagedError(f"object {file.object_name} is missing or damaged")
        if self._cloned(path, target):
            target.chmod(0o755 if file.executable else 0o644)
            return
        try:
            target.hardlink_to(path)
        except FileNotFoundError as error:
            raise DamagedError(f"object {file.object_name} is gone") from error
        except OSError:
            copy_content(path, target)
            target.chmod(0o755 if file.executable else 0o644)

    def entries(self) -> Iterator[Kept]:
        """Give the keys of all entries."""
        return self._kept("entries")

    def objects(self) -> Iterator[Kept]:
        """Give the names of all objects; they were used when they were last linked."""
        return self._kept("objects")

    def remove_entry(self, key: str) -> None:
        """Remove an entry, or whatever is in its place."""
        _remove(self._path("entries", key))

    def remove_object(self, name: str) -> None:
        """Remove an object, or whatever is in its place."""
        _remove(self._path("objects", name))

    def check_object(self, name: str) -> bool:
        """Read an object and tell whether it is what its name says."""
        try:
            checksum = self._checksums.compute(self._path("objects", name))
        except OSError:
            return False
        return name.startswith(f"{checksum.removeprefix('sha1$')}-")

    def remove_leftovers(self) -> None:
        """Remove what processes left that were killed while they wrote."""
        with contextlib.suppress(OSError), os.scandir(self._root / _PARTS) as parts:
            for part in parts:
                with contextlib.suppress(OSError):
                    if _is_abandoned(part):
                        Path(part.path).unlink()

    @contextlib.contextmanager
    def _aside(self) -> Iterator[Path]:
        """Give a path that nobody else uses, and leave nothing there."""
        self._make(f"{self._root}/{_PARTS}")
        part = Path(self._part())
        try:
            yield part
        finally:
            part.unlink(missing_ok=True)

    def _part(self) -> str:
        return f"{self._root}/{_PARTS}/{os.getpid()}.{time.monotonic_ns()}.{threading.get_ident()}.{_HOST}"

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
        if not self._cloned(source, part):
            if source.stat().st_nlink == 1:  # any other name may be one of the user's own files
                try:
                    source.chmod(mode)
                    part.hardlink_to(source)
                except OSError:
                    pass
                else:
                    return True
            copy_content(source, part)
        part.chmod(mode)
        return False

    def _cloned(self, source: Path, target: Path) -> bool:
        if self._clones is not False:
            try:
                self._clones = clone(source, target)
            except OSError:
                return False
        return bool(self._clones)

    def _path(self, kind: str, name: str) -> Path:
        return self._root / kind / name[:2] / name

    def _make(self, directory: str) -> None:
        if directory not in self._made:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            Path(directory).mkdir(parents=True, exist_ok=True)
            self._made.add(directory)

    def _kept(self, kind: str) -> Iterator[Kept]:
        for path in sorted((self._root / kind).glob("??/[!.]*")):
            with contextlib.suppress(OSError):
                status = path.stat()
                used_at = status.st_mtime if kind == "entries" else max(status.st_mtime, status.st_ctime)
                yield Kept(name=path.name, size=status.st_size, used_at=used_at)


def _replace(part: str | Path, path: str | Path) -> None:
    """Put a file in place of another, or of a directory that somebody put there."""
    try:
        os.replace(part, path)  # noqa: PTH105
    except IsADirectoryError:
        _remove(Path(path))
        os.replace(part, path)  # noqa: PTH105


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _is_abandoned(part: "os.DirEntry[str]") -> bool:
    pid, _, rest = part.name.partition(".")
    if not pid.isdecimal():
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


def _read_at_once(path: str) -> tuple[bytes, float]:
    """Read a whole file and tell when it was changed, by as few calls of the system as there can be."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        return os.read(descriptor, status.st_size), status.st_mtime
    finally:
        os.close(descriptor)


def sealed(body: bytes) -> bytes:
    """Write an entry so that a damaged one is told from a whole one."""
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def opened(content: bytes) -> bytes | None:
    """Give the body of an entry, or None where it is damaged."""
    seal, _, body = content.partition(b"\n")
    return body if seal == hashlib.sha256(body).hexdigest().encode() else None
