"""A call cache in object storage or anywhere else that fsspec reaches; every object is checked as it arrives."""

import contextlib
import posixpath
import stat
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cwl_prefect._lib.hashing import digits, file_checksum, stream_checksum
from cwl_prefect._lib.locations import shown_url
from cwl_prefect.engine.cache.directory import is_name_of, name_of
from cwl_prefect.engine.cache.store import DamagedError, Kept, opened, sealed
from cwl_prefect.errors import StorageError, UsageError
from cwl_prefect.model.cache import StoredFile
from cwl_prefect.storage.credentials import lent_options
from cwl_prefect.storage.failures import storage_errors

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


def open_remote(url: str) -> "RemoteStore":
    """Open a cache by URL.

    Raises:
        UsageError: The URL is of no known kind, or needs a package that is not installed.
    """
    import fsspec

    try:
        filesystem, root = fsspec.core.url_to_fs(url, **lent_options(url))
    except (ValueError, ImportError) as error:
        raise UsageError(
            f"--cache: {shown_url(url)} cannot be opened: {error}.",
            hint="give a directory or a URL that fsspec knows, and install its package, as s3fs for s3://.",
        ) from error
    return RemoteStore(filesystem, root, url)


class RemoteStore:
    """A cache behind fsspec.

    What is written is not put aside first, since a half of it is told from the whole when it is read.

    Args:
        filesystem: What reaches it.
        root: Its directory there.
        url: Its name for people.
    """

    def __init__(self, filesystem: "AbstractFileSystem", root: str, url: str) -> None:
        self._files = filesystem
        self._root = root.rstrip("/")
        self._url = url

    @property
    def place(self) -> str:
        """The URL, without what may be secret in it."""
        return shown_url(self._url)

    @property
    def near(self) -> bool:
        """It answers over a network."""
        return False

    def read_entry(self, key: str, *, used: bool = True) -> bytes | None:
        """Return an entry, or None where there is none that is whole or it cannot be read."""
        del used  # object storage keeps no time of use
        with contextlib.suppress(OSError), self._failing_as_os_error("read"):
            body = opened(self._files.cat_file(self._path("entries", key)))
            if body is None:
                self.remove_entry(key)
            return body
        return None

    def write_entry(self, key: str, body: bytes) -> None:
        """Keep an entry in place of any other of its key.

        Raises:
            OSError: It cannot be written.
        """
        path = self._path("entries", key)
        with self._failing_as_os_error("written"):
            self._files.makedirs(posixpath.dirname(path), exist_ok=True)
            self._files.pipe_file(path, sealed(body))

    def put(self, file: StoredFile, source: Path) -> None:
        """Keep a file's content, unless it is there with its size.

        Raises:
            OSError: It cannot be written.
        """
        path = self._path("objects", file.object_name)
        with self._failing_as_os_error("written"):
            with contextlib.suppress(OSError):
                if self._files.info(path).get("size") == file.size:
                    return
            self._files.makedirs(posixpath.dirname(path), exist_ok=True)
            self._files.put_file(str(source), path)

    def get(self, file: StoredFile, target: Path) -> None:
        """Fetch a file's content to a path that does not exist yet.

        Raises:
            DamagedError: It is not there, or not what it was; it is removed then.
            OSError: The target cannot be written.
        """
        part = target.with_name(f".{target.name}.part")
        try:
            try:
                with self._failing_as_os_error("read"):
                    self._files.get_file(self._path("objects", file.object_name), str(part))
            except OSError as error:
                raise DamagedError(f"object {file.object_name} cannot be fetched: {error}") from error
            if file_checksum(part) != file.checksum:
                self.remove_object(file.object_name)
                raise DamagedError(f"object {file.object_name} is damaged")
            if file.executable:
                rights = stat.S_IMODE(part.stat().st_mode)
                part.chmod(rights | (rights & 0o444) >> 2)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def entries(self) -> Iterator[Kept]:
        """Return the keys of all entries; they were used when they were written."""
        return self._kept("entries")

    def objects(self) -> Iterator[Kept]:
        """Return the names of all objects."""
        return self._kept("objects")

    def remove_entry(self, key: str) -> None:
        """Remove an entry, if it is there."""
        self._remove("entries", key)

    def remove_object(self, name: str) -> None:
        """Remove an object, if it is there."""
        self._remove("objects", name)

    def check_object(self, name: str) -> bool:
        """Read an object and tell whether it is what its name says."""
        try:
            with self._failing_as_os_error("read"), self._files.open(self._path("objects", name), "rb") as stream:
                return name.startswith(f"{digits(stream_checksum(stream))}-")
        except OSError:
            return False

    def _remove(self, kind: str, name: str) -> None:
        with contextlib.suppress(OSError), self._failing_as_os_error("changed"):
            self._files.rm_file(self._path(kind, name))

    @contextlib.contextmanager
    def _failing_as_os_error(self, verb: str) -> Iterator[None]:
        """Turn whatever the file system raises into an OSError, which tells nothing that may be secret."""
        try:
            with storage_errors(verb, self._url):
                yield
        except StorageError as error:
            raise OSError(error.message) from error

    def _path(self, kind: str, name: str) -> str:
        return f"{self._root}/{kind}/{name_of(kind, name)[:2]}/{name}"

    def _kept(self, kind: str) -> Iterator[Kept]:
        with contextlib.suppress(OSError), self._failing_as_os_error("listed"):
            found = self._files.find(f"{self._root}/{kind}", detail=True)
            for path, info in sorted(found.items()):
                name = posixpath.basename(path)
                if is_name_of(kind, name) and path.endswith(f"/{kind}/{name[:2]}/{name}"):
                    yield Kept(name=name, size=int(info.get("size") or 0), used_at=_time(info))


def _time(info: dict[str, object]) -> float:
    for name in ("mtime", "LastModified", "last_modified", "updated", "created"):
        found = info.get(name)
        if isinstance(found, datetime):
            return found.timestamp()
        if isinstance(found, int | float):
            return float(found)
    return time.time()
