"""Open a call cache where a setting says that it lies: a directory, or a URL that fsspec knows."""

from pathlib import Path

from cwl_prefect._lib.locations import is_url
from cwl_prefect._lib.uris import path_of
from cwl_prefect.engine.cache.checksums import Checksums
from cwl_prefect.engine.cache.store import LocalStore, Store


def open_store(place: str | None, home: Path, checksums: Checksums) -> Store:
    """Open a cache.

    Args:
        place: An absolute directory or a URL, as the setting gives it; None: the home's own.
        home: The user's home of this program.
        checksums: Remembers which objects are whole.

    Raises:
        UsageError: The URL is of no known kind, or needs a package that is not installed.
    """
    if place is not None and is_url(place) and not place.startswith("file://"):
        from cwl_prefect.engine.cache.remote import open_remote

        return open_remote(place)
    store = LocalStore(_directory(place, home).absolute(), checksums)
    store.remove_leftovers()
    return store


def _directory(place: str | None, home: Path) -> Path:
    if place is None:
        return home / "cache"
    return path_of(place) or Path(place)


def lock_file(store: Store, home: Path) -> Path:
    """Return where the locks of keys lie: with the cache, or on this machine where it is no directory."""
    return Path(store.place) / "locks" if isinstance(store, LocalStore) else home / "cache.locks"
