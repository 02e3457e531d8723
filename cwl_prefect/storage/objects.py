"""What a server says of what lies at a URL: its size, and what tells whether it is still the same."""

import errno
import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, cast

from cwl_prefect._lib.locations import is_web, scheme_of, shown_url
from cwl_prefect.errors import StorageError
from cwl_prefect.storage.calling import called
from cwl_prefect.storage.failures import storage_errors
from cwl_prefect.storage.filesystems import filesystem
from cwl_prefect.storage.outer import outer_only
from cwl_prefect.storage.services.answers import may_be_inner
from cwl_prefect.storage.services.names import Target, resolved

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from fsspec import AbstractFileSystem

_TAGS = ("ETag", "etag", "VersionId", "generation")
_TIMES = ("LastModified", "Last-Modified", "last_modified", "mtime", "modify", "updated")


class _Body(Protocol):
    async def read(self) -> bytes:
        """Return all bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteObject:
    """A file at a URL.

    Attributes:
        url: Where it lies.
        files: The file system that it is in.
        path: Its path there.
        size: Its bytes, or None where the server does not say.
        version: Digest of what changes when it does; None where the server says nothing that does.
        name: The location that stands for the URL.
        digest: Algorithm and checksum that it has to have, where a service tells them.
        condition: What a server of HTTP takes as ``If-Range`` (RFC 9110, §13.1.5); None where it is not to be resumed.
        beginning: What came of it with the answer to the question what it is.
    """

    url: str
    files: "AbstractFileSystem"
    path: str
    size: int | None
    version: str | None
    condition: str | None
    name: str
    digest: tuple[str, str] | None = None
    beginning: bytes = b""


def look(url: str) -> RemoteObject:
    """Ask what lies at a URL, without reading it.

    Raises:
        UsageError: No file system takes the URL, or its package is not installed.
        StorageError: There is no file, or the server refuses.
    """
    target, files, path = _opened(url)
    with storage_errors("read", url):
        about = files.info(path)
    if about.get("type") == "directory":
        raise StorageError(
            f"{shown_url(url)} cannot be read: there is a directory.", hint="Give it with `class: Directory`."
        )
    return _as_told(described(target.url, files, path, about), url, target)


def _opened(url: str) -> "tuple[Target, AbstractFileSystem, str]":
    """Return what a URL stands for, with the file system that it is of; none of the inner network where a service says.

    Raises:
        UsageError: No file system takes the URL, or its package is not installed.
        StorageError: Its service does not tell where the file lies.
    """
    target = resolved(url)
    with nullcontext() if target.told_at is None else outer_only(may_be_inner(target.told_at)):
        files, path = filesystem(target.url, stage="STAGEIN")
    return target, files, path


def begins(url: str) -> bool:
    """Check whether the store of a URL tells what an object is with its beginning, by one request."""
    return scheme_of(url) == "s3"


def begun(url: str, most: int, room: float) -> RemoteObject:
    """Ask what lies at a URL of a store that tells it with so many bytes of the object.

    Args:
        url: Where it lies.
        most: How many of its bytes are read.
        room: Bytes that the disk takes; of what is larger none is read.

    Raises:
        UsageError: The package of its file system is not installed.
        StorageError: There is no file, or the server refuses.
    """
    from fsspec.asyn import sync

    files, path = filesystem(url, stage="STAGEIN")
    bucket, key, _ = files.split_path(path)

    async def beginning() -> tuple[Mapping[str, object], bytes]:
        """Read in the loop of the file system."""
        wanted = {"Bucket": bucket, "Key": key, "Range": f"bytes=0-{most - 1}"}
        answer = cast("Mapping[str, object]", await called(files, "call_s3", "get_object", **wanted))
        async with cast("AbstractAsyncContextManager[_Body]", answer["Body"]) as body:
            partial = "ContentRange" in answer  # else it sends the whole
            return answer, await body.read() if partial and _size(answer) <= room else b""

    try:
        with storage_errors("read", url):
            answer, content = sync(files.loop, beginning)
    except StorageError as error:
        if error.missing or _nothing_of(error.__cause__):
            return look(url)  # a directory is told in words, and what is empty has no beginning
        raise
    return replace(described(url, files, path, {**answer, "size": _size(answer)}), beginning=content)


def _size(answer: Mapping[str, object]) -> int:
    return int(str(answer.get("ContentRange") or answer["ContentLength"]).rpartition("/")[2])


def _nothing_of(error: BaseException | None) -> bool:
    """Check whether a store said that there are no bytes where some were asked for."""
    return isinstance(error, OSError) and error.errno == errno.EINVAL


def _as_told(found: RemoteObject, name: str, target: Target) -> RemoteObject:
    """Return a file with what the service of its name tells about it."""
    if target.size is not None and found.size not in (None, target.size):
        raise StorageError(
            f"{shown_url(name)} cannot be read: it has {target.size} bytes, but {found.size} lie at "
            f"{shown_url(target.url)}.",
            hint="Tell the one who keeps the object.",
        )
    version = found.version if target.digest is None else _version(target.digest)
    return replace(
        found, name=name, size=target.size if found.size is None else found.size, digest=target.digest, version=version
    )


def kind(url: str) -> str | None:
    """Return whether a File or a Directory lies at a URL, or None where nothing does.

    Raises:
        UsageError: No file system takes the URL, or its package is not installed.
        StorageError: The server refuses.
    """
    try:
        _, files, path = _opened(url)
        with storage_errors("read", url):
            return "Directory" if files.info(path).get("type") == "directory" else "File"
    except StorageError as error:
        if error.missing:
            return None
        raise


def listed(url: str) -> dict[str, RemoteObject]:
    """Return all files below a URL, by their paths relative to it.

    Raises:
        UsageError: No file system takes the URL, or its package is not installed.
        StorageError: There is nothing, a name leads out of the directory, or the server refuses.
    """
    if is_web(url) or scheme_of(url) == "drs":
        why = "HTTP has no directories" if is_web(url) else "bundles of DRS are not read"
        raise StorageError(
            f"{shown_url(url)} cannot be read as a Directory: {why}.",
            hint="Give a Directory with a basename and a listing of Files, or an archive as a File.",
        )
    files, root = filesystem(url, stage="STAGEIN")
    root = root.rstrip("/")
    with storage_errors("listed", url):
        found = files.find(root, detail=True)
    place = url.partition("?")[0].rstrip("/")
    objects = {}
    for path, about in sorted(found.items()):
        name = path.lstrip("/").removeprefix(f"{root.lstrip('/')}/")
        if path.rstrip("/") != root and not path.endswith("/"):  # what stands for an empty directory is no file
            _demand_inside(name, url)
            objects[name] = described(f"{place}/{name}", files, path, about)
    if not objects:
        raise StorageError(f"{shown_url(url)} cannot be read: nothing lies below it.", hint="Check the address.")
    return objects


def described(url: str, files: "AbstractFileSystem", path: str, about: Mapping[str, object]) -> RemoteObject:
    """Return what a file system tells about a file."""
    tags = [str(about[name]) for name in _TAGS if about.get(name)]
    times = [str(about[name]) for name in _TIMES if about.get(name)]
    size = about.get("size")
    known = [size, *(tags or times)]
    strong = next((str(about[name]) for name in ("ETag", "Last-Modified") if about.get(name)), None)
    return RemoteObject(
        url=url,
        files=files,
        path=path,
        size=int(size) if isinstance(size, int | float) else None,
        version=_version(known) if tags or times else None,
        condition=None if strong is None or strong.startswith("W/") else strong,
        name=url,
    )


def _version(known: Iterable[object]) -> str:
    return hashlib.sha256(json.dumps([str(each) for each in known]).encode()).hexdigest()[:32]


def _demand_inside(name: str, url: str) -> None:
    parts = name.split("/")
    if "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise StorageError(
            f"{shown_url(url)} cannot be read as a Directory: the name {name!r} below it is no path of a file.",
            hint="Rename the object, or give single Files.",
        )
