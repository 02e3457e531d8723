"""Bring files to where a URL says: each whole or not at all, and checked by what the store tells of it."""

import asyncio
import hashlib
import tempfile
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

from cwl_prefect._lib.hashing import digits
from cwl_prefect._lib.locations import scheme_of, shown_url
from cwl_prefect.errors import StorageError
from cwl_prefect.storage.calling import called, each_in_turn, put
from cwl_prefect.storage.digests import file_digest, part_size, told_digest
from cwl_prefect.storage.failures import storage_errors
from cwl_prefect.storage.filesystems import filesystem
from cwl_prefect.storage.multipart import PARTS_AT_ONCE, Journal, in_parts, put_in_parts

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 8
"""Most files that are uploaded, or compared, at once."""

_BLOCK = 4 * 1024 * 1024  # bytes that are read back at once
_FEW = 4  # names that are asked for one by one, rather than found among all
_ASIDE = ".cwl-prefect-part-"  # what the name of a file begins with that a server has not got whole
_OBJECT_STORES = frozenset({"s3", "gs", "az", "abfs", "abfss", "memory"})  # where an object appears whole

_Info: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file that is to be uploaded.

    Attributes:
        target: Its path below the place that it goes to.
        source: Where it lies, or what it holds.
        size: Its bytes.
        checksum: Its checksum, as CWL writes it.
    """

    target: str
    source: Path | bytes
    size: int
    checksum: str

    @property
    def top(self) -> str:
        """The first part of its path."""
        return self.target.partition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is where files are to be uploaded.

    Attributes:
        there: Paths of the files that are there already.
        different: Paths of files in whose place something else is.
        strangers: Paths of what else is in directories that files are to go to.
    """

    there: frozenset[str] = frozenset()
    different: frozenset[str] = frozenset()
    strangers: frozenset[str] = frozenset()


class Place:
    """What all names begin with that files are uploaded to: a prefix of an object store, or a directory of a server.

    Every method raises :class:`StorageError`, and UsageError where no package is installed for such URLs.

    Args:
        url: Its URL, without a slash at the end.
        found: The file system and the path in it; those of the URL where none are given.
        journal: Where uploads in parts are written down for as long as they go on.
    """

    def __init__(
        self, url: str, found: "tuple[AbstractFileSystem, str] | None" = None, *, journal: Journal | None = None
    ) -> None:
        self.url, self._journal = url, journal
        self._filesystem, root = found or filesystem(url, stage="STAGEOUT")
        self._root = root.rstrip("/")
        self._turns = asyncio.Semaphore(AT_ONCE if self._filesystem.async_impl else 1)  # or one connection

    async def names(self) -> frozenset[str]:
        """Return the names that are taken."""
        return frozenset(path for path, _ in await self._listed())

    async def read(self, name: str) -> bytes | None:
        """Return the content of an object; None where there is none."""
        with storage_errors("read", self._of(name)):
            try:
                return cast("bytes", await called(self._filesystem, "cat_file", self._path(name)))
            except FileNotFoundError:
                return None

    async def standing(self, uploads: Sequence[Upload]) -> Standing:
        """Compare what is there with what is to be uploaded, by content.

        An object is read back only where its store tells no digest of it, or another.
        """
        wanted = {upload.target: upload for upload in uploads}
        found = await self._found(uploads)
        met = [upload for target, upload in wanted.items() if target in found]
        same = await self._each(met, lambda upload: self._is_same(upload, found[upload.target], certain=True))
        there = frozenset(upload.target for upload, is_same in zip(met, same, strict=True) if is_same)
        return Standing(
            there=there,
            different=frozenset(upload.target for upload in met) - there,
            strangers=frozenset(found.keys() - wanted.keys()),
        )

    async def upload(self, uploads: Sequence[Upload], *, replaced: Collection[str] = ()) -> None:
        """Upload files in parallel, then check them all.

        Args:
            uploads: The files.
            replaced: Paths of those that may replace what is in their place; where the store can tell, no others do.
        """
        written = await self._each(
            uploads, lambda upload: self._upload(upload, exclusive=upload.target not in replaced)
        )
        own = {upload.target for upload, was_written in zip(uploads, written, strict=True) if was_written}
        found = await self._found(uploads)
        whole = await self._each(
            uploads, lambda each: self._is_same(each, found.get(each.target, {}), certain=each.target not in own)
        )
        for upload, is_whole in zip(uploads, whole, strict=True):
            if not is_whole:
                raise StorageError(
                    f"{shown_url(self._of(upload.target))} does not hold what was uploaded: somebody else has written "
                    "it, or it was damaged on its way.",
                    hint="Run again: what is there whole is not uploaded again.",
                    passing=True,
                )

    async def remove(self, targets: Iterable[str]) -> None:
        """Remove objects, those that are there."""
        await self._each(list(targets), self._remove)

    async def _remove(self, target: str) -> None:
        with storage_errors("removed", self._of(target)), suppress(FileNotFoundError):
            await called(self._filesystem, "rm_file", self._path(target))

    async def _each(self, items: Sequence[T], work: Callable[[T], Awaitable[R]]) -> list[R]:
        """Return what some work gives for each item, a few at a time; the first failure ends the rest."""
        return await each_in_turn(self._turns, items, work)

    async def _upload(self, upload: Upload, *, exclusive: bool) -> bool:
        """Upload a file; False where something has come there meanwhile, which is left alone."""
        path, url = self._path(upload.target), self._of(upload.target)
        with _file_of(upload) as source:
            size = source.stat().st_size
            if size != upload.size:
                raise StorageError(f"{source} has {size} bytes where {upload.size} were to be uploaded to {url}.")
            with storage_errors("written", url):
                if self._scheme not in _OBJECT_STORES:
                    aside = str(PurePosixPath(path).with_name(_ASIDE + PurePosixPath(path).name))
                    await put(self._filesystem, source, aside)
                    await called(self._filesystem, "mv", aside, path)
                    return True
                try:
                    await self._put_object(source, path, exclusive=exclusive)
                except FileExistsError:
                    return False
                return True

    async def _put_object(self, source: Path, path: str, *, exclusive: bool) -> None:
        if not exclusive:
            await self._put(source, path)
            return
        try:
            await self._put(source, path, mode="create")
        except Exception as error:
            if not _knows_no_conditions(error):
                raise
            await self._put(source, path)

    async def _put(self, source: Path, path: str, **options: object) -> None:
        size = source.stat().st_size
        if self._scheme == "s3" and in_parts(size):
            await put_in_parts(self._filesystem, source, path, exclusive=bool(options), journal=self._journal)
        else:
            await put(self._filesystem, source, path, **options, **self._options(size))

    def _options(self, size: int) -> dict[str, object]:
        """Return how large a file is cut, so that little of it is in memory."""
        if self._scheme == "memory":
            return {}
        if self._scheme == "gs":
            return {"chunksize": part_size(size)}
        if self._scheme == "s3":
            return {"chunksize": part_size(size)}  # which is more than it has
        return {"max_concurrency": PARTS_AT_ONCE}

    async def _is_same(self, upload: Upload, info: _Info, *, certain: bool) -> bool:
        """Check whether an object holds what is to be uploaded.

        Args:
            upload: What it should hold.
            info: What its store tells of it.
            certain: Whether it is read back where its store tells no digest.
        """
        if info.get("size") != upload.size:
            return False
        told = told_digest(info)
        if told is not None:
            with _file_of(upload) as source:
                if await file_digest(source, upload.size, in_parts="-" in told) == told:
                    return True
        elif not certain:
            return True
        return await self._checksum(upload) == digits(upload.checksum)

    async def _checksum(self, upload: Upload) -> str:
        """Return the SHA-1 of an object, which is read for it."""
        found = hashlib.sha1(usedforsecurity=False)
        path, url = self._path(upload.target), self._of(upload.target)
        for start in range(0, upload.size, _BLOCK):
            with storage_errors("read", url):
                end = min(start + _BLOCK, upload.size)
                found.update(cast("bytes", await called(self._filesystem, "cat_file", path, start=start, end=end)))
        return found.hexdigest()

    async def _found(self, uploads: Sequence[Upload]) -> dict[str, _Info]:
        """Return what is where files are to go, and beside them within their directories, by path."""
        tops = {upload.top for upload in uploads}
        if len(tops) > _FEW:
            listed = [(path, info) for path, info in await self._listed() if path in tops]
        else:
            listed = [each for each in await self._each(sorted(tops), self._known) if each is not None]
        found = {path: info for path, info in listed if info.get("type") != "directory"}
        directories = [path for path, info in listed if info.get("type") == "directory"]
        for below in await self._each(directories, self._below):
            found |= below
        return found

    async def _listed(self) -> list[tuple[str, _Info]]:
        with storage_errors("read", self.url):
            try:
                listed = await called(self._filesystem, "ls", self._root, detail=True)
            except FileNotFoundError:
                return []
        return list(self._relative({str(info["name"]): info for info in cast("list[_Info]", listed)}))

    async def _known(self, name: str) -> tuple[str, _Info] | None:
        """Return what is told of one name; None where it is free."""
        with storage_errors("read", self._of(name)):
            try:
                return name, cast("_Info", await called(self._filesystem, "info", self._path(name)))
            except FileNotFoundError:
                return None

    async def _below(self, directory: str) -> dict[str, _Info]:
        with storage_errors("read", self._of(directory)):
            found = await called(self._filesystem, "find", self._path(directory), detail=True)
        return dict(self._relative(cast("dict[str, _Info]", found)))

    def _relative(self, found: Mapping[str, _Info]) -> Iterator[tuple[str, _Info]]:
        root = self._root.strip("/")
        for name, info in found.items():
            path = name.strip("/").removeprefix(root).lstrip("/")
            if path and not path.rpartition("/")[2].startswith(_ASIDE) and not self._is_mark(name, info):
                yield path, info

    def _is_mark(self, name: str, info: _Info) -> bool:
        """Check whether an object only stands for a directory, as consoles of object stores make them."""
        return name.endswith("/") and info.get("type") != "directory"

    @property
    def _scheme(self) -> str:
        return scheme_of(self.url)

    def _path(self, target: str) -> str:
        return f"{self._root}/{target}"

    def _of(self, target: str) -> str:
        return f"{self.url}/{target}"


@contextmanager
def _file_of(upload: Upload) -> Iterator[Path]:
    """Open the file that is uploaded, made for the time being where only its content is known.

    Raises:
        OSError: It cannot be made.
    """
    if isinstance(upload.source, Path):
        yield upload.source
        return
    with tempfile.TemporaryDirectory(prefix="cwl-prefect-") as directory:
        made = Path(directory, upload.target.rpartition("/")[2])  # by whose name its type is told
        made.write_bytes(upload.source)
        yield made


def _knows_no_conditions(error: BaseException) -> bool:
    """Check whether a store of S3's kind knows no requests that write only what is not there."""
    response = getattr(error.__cause__, "response", None)
    return isinstance(response, dict) and response.get("Error", {}).get("Code") == "NotImplemented"
