"""Content by its SHA-1 below a prefix of an object store, and small objects beside it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cwl_prefect._lib.hashing import digits, file_checksum
from cwl_prefect.errors import StorageError
from cwl_prefect.storage.calling import called, put
from cwl_prefect.storage.digests import part_size
from cwl_prefect.storage.failures import storage_errors
from cwl_prefect.storage.filesystems import filesystem
from cwl_prefect.storage.multipart import in_parts, put_in_parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fsspec import AbstractFileSystem

_RENEWED = timedelta(days=1)
_RIGHT = "Give the credentials the right to remove objects below it."


class Blobs:
    """What lies below a prefix of an object store of S3's kind.

    Every method raises :class:`StorageError`, and UsageError where no package is installed for such URLs.

    Args:
        url: ``s3://BUCKET/PREFIX``.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._files: AbstractFileSystem
        self._files, root = filesystem(self._url)
        self._root = root.rstrip("/")

    async def put(self, name: str, source: Path) -> None:
        """Upload a file, unless an object that is not older than a day has its name, which tells its content.

        An older one is written again, so that no rule which removes old objects finds one that is in use.
        """
        url, path = f"{self._url}/{name}", f"{self._root}/{name}"
        with storage_errors("written", url):
            try:
                about = cast("Mapping[str, object]", await called(self._files, "info", path))
            except FileNotFoundError:
                about = {}
            written = about.get("LastModified")
            if isinstance(written, datetime) and datetime.now(UTC) - written < _RENEWED:
                return
            size = source.stat().st_size
            if in_parts(size):
                await put_in_parts(self._files, source, path)
            else:
                await put(self._files, source, path, chunksize=part_size(size))

    async def get(self, name: str, target: Path, checksum: str) -> None:
        """Fetch an object to a path that does not exist yet, checked."""
        url = f"{self._url}/{name}"
        with storage_errors("read", url):
            await called(self._files, "get_file", f"{self._root}/{name}", str(target))
        if digits(file_checksum(target)) != checksum:
            target.unlink()
            raise StorageError(f"{url} cannot be read: it is damaged.", hint="Remove it, and run again.", passing=True)

    async def write(self, name: str, content: bytes) -> None:
        """Write a small object in place of one that may be there."""
        with storage_errors("written", f"{self._url}/{name}"):
            await called(self._files, "pipe_file", f"{self._root}/{name}", content)

    async def read(self, name: str) -> bytes | None:
        """Return a small object; None where there is none."""
        with storage_errors("read", f"{self._url}/{name}"):
            try:
                return cast("bytes", await called(self._files, "cat_file", f"{self._root}/{name}", max_concurrency=1))
            except FileNotFoundError:
                return None

    async def remove(self, *names: str) -> None:
        """Remove objects that may be there, at most 1,000."""
        bucket, prefix, _ = self._files.split_path(self._root)
        found = {"Objects": [{"Key": f"{prefix}/{name}"} for name in names], "Quiet": True}
        with storage_errors("removed", f"{self._url}/{names[0]}"):
            answer = await called(self._files, "call_s3", "delete_objects", Bucket=bucket, Delete=found)
        for error in cast("Mapping[str, list[Mapping[str, str]]]", answer).get("Errors", []):
            raise StorageError(f"{self._url}/{names[0]} cannot be removed: {error['Code']}.", hint=_RIGHT)

    async def sizes(self, prefix: str) -> list[int]:
        """Return how many bytes the objects below a prefix have each; there are few."""
        with storage_errors("listed", f"{self._url}/{prefix}"):
            found = await called(self._files, "find", f"{self._root}/{prefix}", detail=True)
        return [int(about["size"]) for about in cast("Mapping[str, Mapping[str, int]]", found).values()]
