"""Look after a cache: what is in it, whether it is whole, and what of it may go."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from cwl_prefect.engine.cache.entry import decode_entry
from cwl_prefect.engine.cache.store import Kept, Store
from cwl_prefect.model.cache import CacheEntry

GRACE_S = 3600.0
"""Seconds for which an object without an entry is left alone: its call may be about to be kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What was removed, or would be.

    Attributes:
        entries: Calls.
        objects: Files that no call is left for.
        freed: Bytes of entries and objects.
    """

    entries: int
    objects: int
    freed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a check of everything found; what was damaged is removed."""

    entries: int
    objects: int
    damaged_entries: int
    damaged_objects: int

    @property
    def whole(self) -> bool:
        """Whether nothing was damaged."""
        return not (self.damaged_entries or self.damaged_objects)


def read_entries(store: Store) -> Iterator[tuple[Kept, CacheEntry]]:
    """Return every entry that can be read."""
    for kept in store.entries():
        entry = _read(store, kept.name)
        if entry is not None:
            yield kept, entry


def verify(store: Store) -> Verified:
    """Read all that is kept and remove what is not whole."""
    entries = objects = damaged_entries = damaged_objects = 0
    for kept in list(store.objects()):
        objects += 1
        if not store.check_object(kept.name):
            damaged_objects += 1
            store.remove_object(kept.name)
    names = {kept.name for kept in store.objects()}
    for kept in list(store.entries()):
        entries += 1
        entry = _read(store, kept.name)
        if entry is None or any(name not in names for name in _needed(entry)):
            damaged_entries += 1
            store.remove_entry(kept.name)
    return Verified(entries=entries, objects=objects, damaged_entries=damaged_entries, damaged_objects=damaged_objects)


def sweep(
    store: Store, *, unused_for_s: float | None = None, most_bytes: int | None = None, dry_run: bool = False
) -> Swept:
    """Remove what was not used for long, what was used longest ago until the rest is small enough, and orphans.

    An orphan is an object that no entry needs. A call counts as used when a subworkflow or scatter was found that it is
    a part of: without it a small change there would run it again. A run that looks a call up meanwhile finds it whole
    or runs it.

    Args:
        store: The cache.
        unused_for_s: Seconds since their last use from which entries are removed; None: however long.
        most_bytes: What may stay; None: however much.
        dry_run: Only tell what would be removed.
    """
    now = time.time()
    sizes = {kept.name: kept.size for kept in store.objects()}
    young = {kept.name for kept in store.objects() if now - kept.used_at < GRACE_S}
    used: set[str] = set()
    total, removed, freed = 0, 0, 0
    for found in sorted((_found(store, kept) for kept in store.entries()), key=lambda found: -found.kept.used_at):
        more = found.kept.size + sum(sizes.get(name, 0) for name in found.needed - used)
        old = unused_for_s is not None and now - found.kept.used_at > unused_for_s
        if found.readable and not old and (most_bytes is None or total + more <= most_bytes):
            total += more
            used |= found.needed
            continue
        removed += 1
        freed += found.kept.size
        if not dry_run:
            store.remove_entry(found.kept.name)
    orphans = [name for name in sizes if name not in used and (name not in young or most_bytes == 0)]
    for name in orphans if not dry_run else ():
        store.remove_object(name)
    return Swept(entries=removed, objects=len(orphans), freed=freed + sum(sizes[name] for name in orphans))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What of an entry tells whether it may go."""

    kept: Kept
    readable: bool
    needed: frozenset[str]


def _found(store: Store, kept: Kept) -> _Found:
    entry = _read(store, kept.name)
    if entry is None:
        return _Found(kept=kept, readable=False, needed=frozenset())
    return _Found(kept=kept, readable=True, needed=_needed(entry))


def _read(store: Store, key: str) -> CacheEntry | None:
    body = store.read_entry(key, used=False)
    return None if body is None else decode_entry(key, body)


def _needed(entry: CacheEntry) -> frozenset[str]:
    return frozenset(file.object_name for file in entry.files if file.content is None)
