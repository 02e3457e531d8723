"""Make room among what was fetched: what nobody used for long goes first, and nothing that a process uses now."""

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cwl_prefect._lib.file_lock import KeyLocks
from cwl_prefect.storage import leases
from cwl_prefect.storage.downloads import LEASES, LOCKS, PART

GRACE_S = 3600.0
"""Seconds after its last use for which a download stays: what a killed driver left running may use it."""

_PART_AGE_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evicted:
    """What was removed, or would be.

    Attributes:
        downloads: Files and directories.
        freed: Their bytes.
    """

    downloads: int
    freed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    path: Path
    size: int
    used_at: float


def evict(
    directory: Path, *, unused_for_s: float | None = None, most_bytes: int | None = None, dry_run: bool = False
) -> Evicted:
    """Remove downloads that were not used for long, and those used longest ago until the rest is small enough.

    Args:
        directory: Where downloads are.
        unused_for_s: Seconds since their last use from which they go; None: however long.
        most_bytes: What may stay; None: however much; 0: whatever no process uses goes.
        dry_run: Only tell what would be removed.
    """
    now, total, removed, freed = time.time(), 0, 0, 0
    used = leases.held(directory / LEASES)
    for kept in sorted(_all(directory), key=lambda each: -each.used_at):
        age = now - kept.used_at
        half = kept.path.name.endswith(PART)
        old = age > _PART_AGE_S if half else unused_for_s is not None and age > unused_for_s
        too_much = most_bytes is not None and (most_bytes == 0 or total + kept.size > most_bytes)
        stays = _name(kept.path) in used or (age < GRACE_S and most_bytes != 0)
        if stays or not (old or too_much) or not (dry_run or _removed(kept.path, directory)):
            total += kept.size
            continue
        removed, freed = removed + 1, freed + kept.size
    return Evicted(downloads=removed, freed=freed)


def _all(directory: Path) -> Iterator[_Kept]:
    for path in directory.glob("*/*"):
        if path.parent.name == LEASES:
            continue
        with suppress(OSError):  # somebody else makes room too
            yield _Kept(path=path, size=_size(path), used_at=path.stat().st_atime)


def _size(path: Path) -> int:
    """Return the bytes of a file; of a directory those of files that are nowhere else."""
    if not path.is_dir():
        return path.stat().st_size
    found = (each.stat() for each in path.rglob("*") if each.is_file())
    return sum(status.st_size for status in found if status.st_nlink == 1)


def _removed(path: Path, directory: Path) -> bool:
    """Remove a download, unless somebody is about to use it."""
    locks = KeyLocks(directory / LOCKS)
    try:
        # Whoever fetches names it before it is looked for.
        if not locks.take(path.name.partition("-")[0]) or _name(path) in leases.held(directory / LEASES):
            return False
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        return not path.exists()
    finally:
        locks.close()


def _name(path: Path) -> str:
    """Return what whoever uses a download, or a part of one, calls it."""
    return "-".join(path.name.removesuffix(PART).split("-")[:2])
