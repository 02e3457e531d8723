"""Collect what the call cache, downloads and records of runs need no more."""

import logging
import shutil
import time
from dataclasses import dataclass

from pydantic import JsonValue

from cwl_prefect.engine.cache.care import Swept, sweep
from cwl_prefect.engine.cache.checksums import Checksums, forget_old
from cwl_prefect.engine.cache.places import open_store
from cwl_prefect.engine.cache.store import Store
from cwl_prefect.engine.records import audit
from cwl_prefect.engine.records.audit import Act, AuditEntry
from cwl_prefect.settings import Settings
from cwl_prefect.storage.downloads import downloads_of
from cwl_prefect.storage.eviction import Evicted, evict

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheCollected:
    """What was removed, or would be."""

    swept: Swept
    evicted: Evicted

    def told(self, verb: str) -> str:
        """Say it to people.

        Args:
            verb: What was done, as ``Removed``.
        """
        swept, evicted = self.swept, self.evicted
        text = f"{verb} {swept.entries} calls and {swept.objects} files: {size_text(swept.freed)}."
        if not evicted.downloads:
            return text
        return f"{text}\n{verb} {evicted.downloads} downloads: {size_text(evicted.freed)}."


def collect_cache(
    settings: Settings, *, unused_for_s: float | None, most_bytes: int | None, dry_run: bool = False
) -> CacheCollected:
    """Remove what was not used for so long or is too much, and files that no call is left for.

    Args:
        settings: Name the cache and the home.
        unused_for_s: Seconds; what records say of earlier runs goes after them too. None: nothing is too old.
        most_bytes: How much may stay; None: nothing is too much.
        dry_run: Only tell what would be done.

    Raises:
        CacheError: The cache cannot be read or changed.
    """
    checksums = Checksums(settings.checksums)
    try:
        store = open_store(settings.cache_url, settings.home, checksums)
        swept = sweep(store, unused_for_s=unused_for_s, most_bytes=most_bytes, dry_run=dry_run)
        downloads = downloads_of(settings).directory
        evicted = evict(downloads, unused_for_s=unused_for_s, most_bytes=most_bytes, dry_run=dry_run)
        if not dry_run:
            record_removal(settings, store, entries=swept.entries, objects=swept.objects, why="gc")
            _forget(settings, unused_for_s)
    finally:
        checksums.close()
    return CacheCollected(swept=swept, evicted=evicted)


def record_removal(settings: Settings, store: Store, *, entries: int, objects: int, why: str) -> None:
    """Write to the audit trail what was removed from a cache."""
    details: dict[str, JsonValue] = {"cache": store.place, "entries": entries, "objects": objects, "why": why}
    try:
        audit.append(settings.runs, AuditEntry(act=Act.CACHE_REMOVED, details=details))
    except OSError as error:
        _logger.warning("the audit trail in %s cannot be written: %s", settings.runs, error.strerror)


def size_text(count: float) -> str:
    """Write a number of bytes for people to read."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def _forget(settings: Settings, unused_for_s: float | None) -> None:
    """Remove checksums, compiled plans, and what is recorded of runs, where nobody will ask for it."""
    forget_old(settings.checksums)
    if unused_for_s is None:
        return
    oldest = time.time() - unused_for_s
    for kept in settings.plans.glob("*.json"):
        if kept.stat().st_mtime < oldest:
            kept.unlink(missing_ok=True)
    for recorded in settings.reports.glob("*/"):
        if max((path.stat().st_mtime for path in recorded.iterdir()), default=oldest) < oldest:
            shutil.rmtree(recorded, ignore_errors=True)
