"""Large files to stores of S3's kind, in parts; what is not whole in the end is taken back from there.

A store keeps and bills the parts of an upload that nobody ends, and no list of its objects shows them.
"""

import asyncio
import json
import logging
import mimetypes
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cwl_prefect._lib.atomic_write import write_whole
from cwl_prefect._lib.cancellation import shielded
from cwl_prefect._lib.own_files import make_private, read_own
from cwl_prefect.errors import CwlPrefectError, StorageError
from cwl_prefect.storage.calling import called, each_in_turn
from cwl_prefect.storage.digests import part_size
from cwl_prefect.storage.failures import storage_errors
from cwl_prefect.storage.filesystems import filesystem

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

PARTS_AT_ONCE = 4
"""Parts of one file that are uploaded at once."""

_Answer = Mapping[str, object]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Journal:
    """Uploads that were begun and not ended; what is there while nobody uploads was left by one who was killed.

    Attributes:
        directory: Has a file for each, and need not be there.
    """

    directory: Path

    def begins(self, url: str) -> Path:
        """Write down that an upload is about to begin; whoever ends it removes the file that this returns."""
        make_private(self.directory)
        mark = self.directory / os.urandom(16).hex()
        write_whole(mark, json.dumps({"url": url, "upload": None}).encode())
        return mark

    def left(self) -> Iterator[tuple[Path, str, str | None]]:
        """Yield the file, URL and identifier of each upload; None where its writer was killed as the store told it."""
        for mark in sorted(self.directory.glob("[0-9a-f]*")):
            with suppress(OSError, ValueError, TypeError, KeyError):  # somebody else has just ended it
                found = json.loads(read_own(mark))
                yield mark, str(found["url"]), None if found["upload"] is None else str(found["upload"])

    def end_left(self) -> int:
        """End the uploads that are left, and return how many; the log is told which of them the store keeps."""
        ended = 0
        for mark, url, upload in self.left():
            try:
                files, path = filesystem(url, stage="STAGEOUT")
                for each in [upload] if upload is not None else _uploads_of(files, path, url):
                    _end(files, path, each, url)
            except CwlPrefectError as error:
                _logger.warning("an unfinished upload stays in the object store: %s", error.message)
                continue
            mark.unlink(missing_ok=True)
            ended += 1
        return ended


def in_parts(size: int) -> bool:
    """Check whether a file of so many bytes is uploaded in parts."""
    return size >= 2 * part_size(size)


async def put_in_parts(
    files: "AbstractFileSystem", source: Path, path: str, *, exclusive: bool = False, journal: Journal | None = None
) -> None:
    """Upload a file; whoever fails or is cancelled leaves nothing of it there.

    Args:
        files: The file system, of S3's kind.
        source: The file.
        path: Where it goes.
        exclusive: Whether it has to be new.
        journal: Where the upload is written down for as long as it goes on.

    Raises:
        FileExistsError: It is to be new, and something is there.
    """
    size, turns = source.stat().st_size, asyncio.Semaphore(PARTS_AT_ONCE)
    length, condition = part_size(size), {"IfNoneMatch": "*"} if exclusive else {}
    async with _upload(files, path, mimetypes.guess_type(path)[0], journal) as target:

        async def send(number: int) -> dict[str, object]:
            """Upload a part, and return what the store is told of it in the end."""
            content = await asyncio.to_thread(_part_of, source, number * length, length)
            answer = await _asked(files, "upload_part", **target, PartNumber=number + 1, Body=content)
            return {"PartNumber": number + 1, "ETag": answer["ETag"]}

        parts = await each_in_turn(turns, range(-(-size // length)), send)
        await _asked(files, "complete_multipart_upload", **target, MultipartUpload={"Parts": parts}, **condition)


def end_abandoned(url: str, *, age_s: float, dry_run: bool = False) -> int:
    """End the uploads below a prefix that were begun so long ago that nobody goes on with them; return how many.

    Args:
        url: A prefix of a store of S3's kind, below which nobody else writes.
        age_s: Seconds.
        dry_run: Only tell how many.

    Raises:
        StorageError: The store does not tell of them, or does not end one.
    """
    files, root = filesystem(url)
    bucket, prefix, _ = files.split_path(root.rstrip("/"))
    ended, now = 0, datetime.now(UTC)
    for upload in _listed(files, bucket, f"{prefix}/", url):
        if (now - cast("datetime", upload["Initiated"])).total_seconds() >= age_s:
            if not dry_run:
                _end(files, f"{bucket}/{upload['Key']}", str(upload["UploadId"]), url)
            ended += 1
    return ended


def _uploads_of(files: "AbstractFileSystem", path: str, url: str) -> list[str]:
    """Return the identifiers of all uploads of one object."""
    bucket, key, _ = files.split_path(path)
    return [str(upload["UploadId"]) for upload in _listed(files, bucket, key, url) if upload["Key"] == key]


def _listed(files: "AbstractFileSystem", bucket: str, prefix: str, url: str) -> Iterator[_Answer]:
    """Yield what a store tells of the unfinished uploads whose keys begin with a prefix."""
    page = {"Bucket": bucket, "Prefix": prefix}
    while True:
        with storage_errors("listed", url):
            found = cast("_Answer", files.call_s3("list_multipart_uploads", **page))
        yield from cast("list[_Answer]", found.get("Uploads", []))
        if not found.get("IsTruncated"):
            return
        marks = {"KeyMarker": found["NextKeyMarker"], "UploadIdMarker": found["NextUploadIdMarker"]}
        page |= {name: str(value) for name, value in marks.items()}


def _end(files: "AbstractFileSystem", path: str, upload: str, url: str) -> None:
    bucket, key, _ = files.split_path(path)
    try:
        with storage_errors("ended", url):
            files.abort_mpu(bucket, key, upload)
    except StorageError as error:
        if not error.missing:  # it was ended already
            raise


@asynccontextmanager
async def _upload(
    files: "AbstractFileSystem", path: str, content_type: str | None, journal: Journal | None
) -> AsyncIterator[dict[str, str]]:
    """Begin an upload, and end it where it was not completed."""
    bucket, key, _ = files.split_path(path)
    place, about = {"Bucket": bucket, "Key": key}, {} if content_type is None else {"ContentType": content_type}
    mark: Path | None = None
    with suppress(OSError):  # a full disk here is no reason not to deliver there
        mark = None if journal is None else await asyncio.to_thread(journal.begins, f"s3://{path}")
    creating = asyncio.ensure_future(_asked(files, "create_multipart_upload", **place, **about))
    try:
        await shielded(creating)  # also by whoever is cancelled, since nobody could end what has no known identifier
        upload = str(creating.result()["UploadId"])
        with suppress(OSError):
            await asyncio.to_thread(_identify, mark, f"s3://{path}", upload)
        yield {**place, "UploadId": upload}
    except BaseException:
        with suppress(Exception):  # what stays there is in the journal
            if creating.exception() is None:
                await shielded(called(files, "abort_mpu", bucket, key, str(creating.result()["UploadId"])))
            _forget(mark)
        raise
    _forget(mark)


def _identify(mark: Path | None, url: str, upload: str) -> None:
    if mark is not None:
        write_whole(mark, json.dumps({"url": url, "upload": upload}).encode())


def _forget(mark: Path | None) -> None:
    if mark is not None:
        mark.unlink(missing_ok=True)


async def _asked(files: "AbstractFileSystem", method: str, **arguments: object) -> _Answer:
    return cast("_Answer", await called(files, "call_s3", method, **arguments))


def _part_of(source: Path, start: int, length: int) -> bytes:
    with source.open("rb") as stream:
        stream.seek(start)
        return stream.read(length)
