"""What nobody needs any more in the object store by which files of calls go.

A blob is removed that no call refers to and that is older than any driver takes it to be: who is about to use one that
is older than a day writes it again, and takes that for granted for :data:`TRUSTED_S`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from cwl_prefect._lib.locations import shown_url
from cwl_prefect.backends.kubernetes.transfers.trees import decoded
from cwl_prefect.errors import StorageError
from cwl_prefect.storage.failures import storage_errors
from cwl_prefect.storage.filesystems import filesystem

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

BLOB_AGE_S = 2 * 86_400.0
"""Seconds from which a blob goes that no call refers to: a day, :data:`TRUSTED_S`, and time to send what is large."""

CALL_AGE_S = 30 * 86_400.0
"""Seconds from which the lists of a call belong to nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """What was removed, or would be.

    Attributes:
        objects: Blobs, and lists of calls.
        freed: Their bytes.
    """

    objects: int = 0
    freed: int = 0


@dataclass(frozen=True, slots=True)
class _Object:
    key: str
    size: int
    age_s: float


@dataclass(frozen=True, slots=True)
class _Prefix:
    """Objects below a prefix of a store of S3's kind, a page at a time."""

    url: str
    files: "AbstractFileSystem"
    bucket: str
    root: str

    @classmethod
    def at(cls, url: str) -> "_Prefix":
        """Return that of a URL."""
        files, path = filesystem(url.rstrip("/"))
        bucket, root, _ = files.split_path(path)
        return cls(url, files, bucket, root)

    def pages(self, name: str) -> Iterator[list[_Object]]:
        """Yield the objects below a name, at most 1,000 at a time."""
        wanted, now = {"Bucket": self.bucket, "Prefix": f"{self.root}/{name}/"}, datetime.now(UTC)
        while True:
            with storage_errors("listed", self.url):
                found = cast("Mapping[str, object]", self.files.call_s3("list_objects_v2", **wanted))
            listed = cast("list[Mapping[str, object]]", found.get("Contents", []))
            yield [
                _Object(str(each["Key"]), int(str(each["Size"])), (now - _written(each)).total_seconds())
                for each in listed
            ]
            if not found.get("IsTruncated"):
                return
            wanted |= {"ContinuationToken": str(found["NextContinuationToken"])}

    def read(self, key: str) -> bytes:
        """Return an object; nothing where somebody removed it."""
        try:
            with storage_errors("read", self.url):
                return bytes(self.files.cat_file(f"{self.bucket}/{key}", max_concurrency=1))
        except StorageError as error:
            if error.missing:
                return b"[]"
            raise

    def remove(self, objects: list[_Object], *, dry_run: bool = False) -> Garbage:
        """Remove at most 1,000 objects."""
        if objects and not dry_run:
            wanted = {"Objects": [{"Key": each.key} for each in objects], "Quiet": True}
            with storage_errors("removed", self.url):
                answer = self.files.call_s3("delete_objects", Bucket=self.bucket, Delete=wanted)
            for error in cast("Mapping[str, list[Mapping[str, str]]]", answer).get("Errors", []):
                raise StorageError(f"{shown_url(self.url)}: {error['Key']} cannot be removed: {error['Code']}.")
        return Garbage(objects=len(objects), freed=sum(each.size for each in objects))


def collect_garbage(url: str, *, dry_run: bool = False) -> Garbage:
    """Remove blobs that no call refers to, and lists of calls that nobody removed.

    Args:
        url: Where files of calls go, ``s3://BUCKET/PREFIX``.
        dry_run: Only tell what would be removed.

    Raises:
        StorageError: The store does not tell or remove something, or a list of a call is none.
    """
    prefix, found = _Prefix.at(url), Garbage()
    needed: set[str] = set()
    for page in prefix.pages("calls"):
        old = [each for each in page if each.age_s >= CALL_AGE_S]
        for each in page:
            if each.age_s < CALL_AGE_S:
                needed |= _named_in(prefix, each.key)
        found = _sum(found, prefix.remove(old, dry_run=dry_run))
    for page in prefix.pages("blobs"):  # after the lists: what is sent from now on refers to none that is old
        old = [each for each in page if each.age_s >= BLOB_AGE_S and each.key.rpartition("/")[2] not in needed]
        found = _sum(found, prefix.remove(old, dry_run=dry_run))
    return found


def remove_calls(url: str, run_id: str) -> None:
    """Remove the lists of all calls of a run that nobody drives.

    Raises:
        StorageError: The store does not remove something.
    """
    prefix = _Prefix.at(url)
    for page in prefix.pages(f"calls/{run_id}"):
        prefix.remove(page)


def _named_in(prefix: _Prefix, key: str) -> set[str]:
    try:
        return {entry.sha1 for tree in decoded(prefix.read(key)) for entry in tree.entries if entry.sha1}
    except ValueError as error:
        raise StorageError(
            f"{shown_url(prefix.url)}: {key} is no list of files of a call; nothing is removed.",
            hint="Remove it, if nobody else writes below this prefix.",
        ) from error


def _sum(one: Garbage, other: Garbage) -> Garbage:
    return Garbage(objects=one.objects + other.objects, freed=one.freed + other.freed)


def _written(told: Mapping[str, object]) -> datetime:
    return cast("datetime", told["LastModified"])
