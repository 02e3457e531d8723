"""What was fetched from URLs, once for all runs of this machine, and known by what its server says of it."""

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import copy_context
from dataclasses import dataclass, replace
from pathlib import Path
from threading import BoundedSemaphore, Event
from typing import TypeVar

from cwl_prefect._lib.file_lock import POLL_INTERVAL_S, KeyLocks
from cwl_prefect._lib.hashing import digits
from cwl_prefect._lib.locations import is_web, shown_url
from cwl_prefect._lib.own_files import make_private
from cwl_prefect._lib.uris import path_of
from cwl_prefect.errors import StorageError
from cwl_prefect.settings import Settings
from cwl_prefect.storage import leases
from cwl_prefect.storage.calling import patiently
from cwl_prefect.storage.objects import RemoteObject, begins, begun, kind, listed, look
from cwl_prefect.storage.outer import outer_only
from cwl_prefect.storage.stac.documents import MAX_DOCUMENT, too_large
from cwl_prefect.storage.stac.stage_in import Choice, staged
from cwl_prefect.storage.transfer import BLOCK, StoppedError, room_in, transfer

PARALLEL = 8
"""Files that are fetched at a time."""

LOCKS, LEASES, PART = "locks", "leases", ".part"
_LARGE = 64 * 2**20  # bytes from which a line tells that a file is being fetched
_TRANSFERS = BoundedSemaphore(PARALLEL)  # of all runs in this process
_READ_ONLY = 0o400
_NAME = re.compile(r"(?P<held>[0-9a-f]{32}-[0-9a-f]{32})-(?P<size>\d+)-(?P<mtime_ns>\d+)-(?P<sha1>[0-9a-f]{40})")

_logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Download:
    """A file that was fetched.

    Attributes:
        path: Where it lies on this machine; it is not to be changed.
        checksum: Its checksum, as CWL writes it.
    """

    path: Path
    checksum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloads:
    """Files and directories that were fetched from URLs.

    May be used by several threads and processes: what two ask for is fetched once. Whether it is still the same is
    asked of the server each time, which also shows whether whoever asks may read it.

    Attributes:
        directory: Where they are; for the user alone.
        least_free_mib: MiB that stay free on its disk.
        stac: What is taken of STAC catalogs; None: they are files as all others.
    """

    directory: Path
    least_free_mib: float = 0.0
    stac: Choice | None = None

    def file(self, url: str, stop: Event) -> Download:
        """Return the file at a URL, fetched where it is not known or has changed.

        Args:
            url: Where it lies.
            stop: Set once nobody waits for it any more.

        Raises:
            UsageError: No file system takes the URL, or its package is not installed.
            StorageError: It cannot be read, or not be stored.
            StoppedError: Nobody waits for it.
        """
        return patiently(lambda: self._asked(url, stop), stop)

    def stages(self, location: str) -> bool:
        """Check whether a Directory at a location is the catalog of a document of this machine."""
        return self.stac is not None and own_file(location) is not None

    def tree(self, url: str, stop: Event) -> Path:
        """Return a directory with all files below a URL, or with the catalog that the document there leads to.

        Documents may be of this machine too.

        Raises:
            UsageError: No file system takes the URL, or its package is not installed.
            StorageError: It cannot be read or stored, or has no directories.
            StoppedError: Nobody waits for it.
        """
        if self.stac is not None and (document := own_file(url)) is not None:
            with outer_only(self.stac.allowed):
                return self._catalog(url, replace(self.stac, root=document.parent), stop)
        if self.stac is not None and (is_web(url) or patiently(lambda: kind(url), stop) == "File"):
            with outer_only((url, *self.stac.allowed)):
                return self._catalog(url, self.stac, stop)
        objects = patiently(lambda: listed(url), stop)
        fetched = self._all(objects, stop)
        text = json.dumps([[name, str(found.path)] for name, found in fetched.items()])
        return self._linked(url, _digest(text), {name: found.path for name, found in fetched.items()}, stop)

    def _catalog(self, url: str, choice: Choice, stop: Event) -> Path:
        """Return a directory with catalog.json, items and assets, fetched and linked as any other files."""

        def read(places: Sequence[str]) -> dict[str, bytes]:
            """Return the contents of documents."""
            here = _own_files(places)
            found = self._looked_at((place for place in places if place not in here), stop)
            for place, remote in found.items():
                if (remote.size or 0) > MAX_DOCUMENT:
                    raise too_large(shown_url(place))
            paths = here | {place: file.path for place, file in self._all(found, stop).items()}
            return {place: _beginning(paths[place], MAX_DOCUMENT + 1) for place in places}

        catalog = staged(url, choice, read)
        here = _own_files(catalog.assets.values())
        states = {address: path.stat() for address, path in here.items()}
        objects = self._looked_at((address for address in catalog.assets.values() if address not in here), stop)
        sizes = [remote.size or 0 for remote in objects.values()] + [state.st_size for state in states.values()]
        size_mib = sum(sizes) / 2**20
        if size_mib > choice.max_mib:
            raise StorageError(
                f"{shown_url(url)} cannot be staged in: its assets have {size_mib:.0f} of {choice.max_mib:g} MiB.",
                hint="Choose some by --assets, or set CWL_PREFECT_MAX_STAGE_IN_MIB.",
            )
        files = self._all(objects, stop)
        paths = here | {address: file.path for address, file in files.items()}
        named = {name: paths[address] for name, address in catalog.assets.items()}
        about = {name: str(path) for name, path in named.items()}
        changes = {address: [state.st_size, state.st_mtime_ns] for address, state in states.items()}
        version = _digest(json.dumps([dict(catalog.documents), about, *([changes] if changes else [])]))
        return self._linked(url, version, named, stop, texts=catalog.documents, copied=frozenset(here.values()))

    def _looked_at(self, urls: Iterable[str], stop: Event) -> dict[str, RemoteObject]:
        return in_parallel(lambda place: patiently(lambda: look(place), stop), dict.fromkeys(urls), stop)

    def _all(self, objects: Mapping[str, RemoteObject], stop: Event) -> dict[str, Download]:
        return in_parallel(lambda name: patiently(lambda: self._file(objects[name], stop), stop), objects, stop)

    def _asked(self, url: str, stop: Event) -> Download:
        """Return the file at a URL: of what was never fetched, its store is asked what it is by reading it."""
        place = self._place(url)
        if begins(url) and not any(_files(place)):
            with locked(place, stop), _TRANSFERS:
                if not any(_files(place)):
                    return self._kept(
                        begun(url, BLOCK, room_in(self.directory, self.least_free_mib)), stop, nullcontext()
                    )
        return self._file(look(url), stop)

    def _file(self, remote: RemoteObject, stop: Event) -> Download:
        with locked(self._place(remote.name), stop):
            return self._kept(remote, stop, _TRANSFERS)

    def _kept(self, remote: RemoteObject, stop: Event, turn: AbstractContextManager[object]) -> Download:
        """Return a file whose place is locked, fetched within a turn where it is not known."""
        version = remote.version or os.urandom(16).hex()  # of what nothing is known to be the same
        target = _beside(self._place(remote.name), version)
        self._hold(target)
        found = _known(target) or self._fetched(remote, target, stop, turn)
        _use(found.path)
        return found

    def _place(self, url: str) -> Path:
        """Return what the paths of all versions of a URL begin with: many URLs share a directory."""
        name = _digest(url)
        return self.directory / name[:2] / name

    def _fetched(
        self, remote: RemoteObject, target: Path, stop: Event, turn: AbstractContextManager[object]
    ) -> Download:
        part = target.with_name(f"{target.name}{PART}")
        make_private(part.parent)
        if remote.size is not None and remote.size >= _LARGE:
            _logger.info("Fetching %s: %.0f MiB.", shown_url(remote.url), remote.size / 2**20)
        with turn:
            checksum = transfer(remote, part, stop, least_free_mib=self.least_free_mib)
        if (remote.size is None or remote.size > BLOCK) and look(remote.name).version != remote.version:
            part.unlink()
            raise StorageError(
                f"{shown_url(remote.url)} cannot be read: it changes while it is read.",
                hint="Run again once nobody writes it any more.",
                passing=True,
            )
        part.chmod(_READ_ONLY)
        status = part.stat()
        kept = _beside(target, f"{status.st_size}-{status.st_mtime_ns}-{digits(checksum)}")
        return Download(part.replace(kept), checksum)

    def _linked(
        self,
        url: str,
        version: str,
        files: dict[str, Path],
        stop: Event,
        *,
        texts: Mapping[str, str] | None = None,
        copied: Collection[Path] = (),
    ) -> Path:
        """Return a directory of links to files, of copies of others, and of some texts, made whole or not at all."""
        place = self._place(f"{url.rstrip('/')}/")
        target = _beside(place, version)
        part = target.with_name(f"{target.name}{PART}")
        self._hold(target)
        with locked(place, stop):
            if not target.is_dir():
                shutil.rmtree(part, ignore_errors=True)
                try:
                    for name, path in files.items():
                        make_private((part / name).parent)
                        (_copy if path in copied else os.link)(path, part / name)
                    for name, text in (texts or {}).items():
                        make_private((part / name).parent)
                        (part / name).write_text(text, encoding="utf-8")
                        (part / name).chmod(_READ_ONLY)
                except OSError as error:
                    raise StorageError(
                        f"{shown_url(url)} cannot be stored in {place.parent}: {error.strerror}.",
                        hint="An object may not have the name of a directory beside it.",
                    ) from error
                part.replace(target)
        _use(target)
        return target

    def _hold(self, path: Path) -> None:
        leases.hold(self.directory / LEASES, path.name)


_installed: list[Downloads] = []


def install(downloads: Downloads) -> None:
    """Say where what this process fetches is kept from now on."""
    _installed[:] = [downloads]


def installed() -> Downloads:
    """Return where what this process fetches is kept; as the settings say where nobody said otherwise."""
    if not _installed:
        install(downloads_of(Settings()))
    return _installed[0]


def downloads_of(settings: Settings) -> Downloads:
    """Return where the runs of some settings keep what they fetch."""
    choice = Choice(assets=settings.assets, allowed=settings.allow_url, max_mib=settings.max_stage_in_mib)
    return Downloads(
        directory=settings.home / "downloads",
        least_free_mib=settings.least_free_mib,
        stac=None if settings.stage_in is None else choice,
    )


def in_parallel(work: Callable[[Item], Result], items: Iterable[Item], stop: Event) -> dict[Item, Result]:
    """Return what comes of each item, with at most so many in hand at a time; the first error ends the others.

    Raises:
        Exception: Whatever one raised.
    """
    with ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="cwl-prefect-download") as threads:
        pending = {item: threads.submit(copy_context().run, work, item) for item in items}
        try:
            for failed in (
                each for each in wait(pending.values(), return_when=FIRST_EXCEPTION).done if each.exception()
            ):
                failed.result()
            return {item: future.result() for item, future in pending.items()}
        except BaseException:
            stop.set()
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def _beside(path: Path, more: str) -> Path:
    return path.with_name(f"{path.name}-{more}")


def _files(place: Path) -> Iterator[tuple[Path, re.Match[str]]]:
    """Yield the files that were fetched and whose names begin so, each with what its name tells of it."""
    with contextlib.suppress(OSError):
        yield from (
            (path, told) for path in place.parent.glob(f"{place.name}-*") if (told := _NAME.fullmatch(path.name))
        )


def _known(target: Path) -> Download | None:
    """Return a file that is there, of this version and as it was written; None where it is not."""
    for path, told in _files(target):
        with contextlib.suppress(OSError):
            status = path.lstat()
            own = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
            if own and (int(told["size"]), int(told["mtime_ns"])) == (status.st_size, status.st_mtime_ns):
                return Download(path, f"sha1${told['sha1']}")
    return None


def own_file(location: str) -> Path | None:
    """Return the path of a regular file of this machine; None where a location names none."""
    path = path_of(location)
    return path if path is not None and path.is_absolute() and path.is_file() else None


def _own_files(locations: Iterable[str]) -> dict[str, Path]:
    return {each: path for each in locations if (path := own_file(each)) is not None}


def _copy(path: Path, target: Path) -> None:
    """Copy a file that its owner may change."""
    shutil.copyfile(path, target)
    target.chmod(_READ_ONLY)


def _beginning(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(size)
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}.") from error


def _use(path: Path) -> None:
    """Note when something was used last, for whoever makes room; when it was changed stays."""
    with contextlib.suppress(OSError):
        status = path.stat()
        os.utime(path, ns=(time.time_ns(), status.st_mtime_ns))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


@contextmanager
def locked(place: Path, stop: Event) -> Iterator[None]:
    """Hold the place of one URL among all threads and processes of this machine.

    Raises:
        StoppedError: Nobody waits for it.
    """
    locks = KeyLocks(place.parent.parent / LOCKS)
    try:
        while not locks.take(place.name):
            if stop.wait(POLL_INTERVAL_S):
                raise StoppedError
        yield
    finally:
        locks.close()
