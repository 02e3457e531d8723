"""The call cache of a run: look up a call, let identical calls run once, keep what a call gave."""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from cwl_prefect._lib.file_lock import KeyLocks
from cwl_prefect._lib.suggestions import did_you_mean
from cwl_prefect._lib.threads import in_thread
from cwl_prefect._lib.uris import spellings
from cwl_prefect.backends.base import Backend
from cwl_prefect.cwl.binding.reuse import updates_in_place
from cwl_prefect.engine.cache.checksums import LARGE, Checksums
from cwl_prefect.engine.cache.entry import Captured, capture, decode_entry, encode_entry, restore
from cwl_prefect.engine.cache.fingerprint import NotReusableError, canonical, local_path
from cwl_prefect.engine.cache.key import for_people
from cwl_prefect.engine.cache.places import lock_file, open_store
from cwl_prefect.engine.cache.store import DamagedError, Store
from cwl_prefect.engine.records.journal import LOOK_UPS, Journal
from cwl_prefect.engine.staging.workspace import make_empty, remove_tree
from cwl_prefect.engine.workflow.overrides import tool_steps
from cwl_prefect.errors import UsageError
from cwl_prefect.flows.cache.keys import FEW_FILES, CallKeys, Keyed
from cwl_prefect.flows.cache.outputs import CachedOutputs
from cwl_prefect.model.cache import CacheEntry, CallKey, Recorded
from cwl_prefect.model.names import without_indices
from cwl_prefect.model.plan import ToolPlan, WorkflowPlan
from cwl_prefect.model.values import CwlObject, file_objects
from cwl_prefect.settings import EVERY_STEP, Settings

_logger = logging.getLogger(__name__)

_POLL_INTERVAL_S = 0.1  # where another process runs an identical call


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlace:
    """Which call is looked up, and where its outputs go if it is found.

    Attributes:
        step: Path of its step.
        name: Its name.
        outdir: Where its outputs go, or lie once it has run.
    """

    step: str
    name: str
    outdir: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What is known of a call since it ran.

    Attributes:
        tool: Name of its tool.
        recorded: What its expressions read; None: nobody asked, and it is not kept.
    """

    tool: str
    recorded: Recorded | None


@dataclass(slots=True, kw_only=True)
class Lookup:
    """What came of looking a call up; whoever gets one must release it.

    Attributes:
        call: The call with its key, or None where it has none.
        outputs: What an identical call gave before, or None where the call must run.
        saved_s: How long that one took.
        run_id: Identifier of its run.
    """

    call: Keyed | None = None
    outputs: CwlObject | None = None
    saved_s: float | None = None
    run_id: str | None = None
    began_at: float = field(default_factory=time.time)
    release: Callable[[], None] = lambda: None

    @property
    def key(self) -> CallKey | None:
        """Its key, or None where it has none."""
        return None if self.call is None else self.call.key


class CallCache:
    """The call cache as one run sees it.

    A call that is found costs no process and no staging. A call that is not found keeps the lock of its key until it is
    released: identical calls of this run and of other processes wait for it, and find what it gave.

    Args:
        store: Keeps entries and objects.
        checksums: Knows the checksums of files.
        locks: Locks of keys among processes.
        journal: Is told what was looked up.
        settings: What is reused.
        run_id: Identifier of the run.
        ontology: Format hierarchy of the run's plan.
        refresh_all: Whether every call runs although it is cached.
    """

    def __init__(  # noqa: PLR0913 - the parts that a run puts together
        self,
        *,
        store: Store,
        checksums: Checksums,
        locks: KeyLocks,
        journal: Journal,
        settings: Settings,
        run_id: str,
        ontology: tuple[tuple[str, str, str], ...] = (),
        refresh_all: bool = False,
    ) -> None:
        self._store = store
        self.checksums = checksums
        self._locks = locks
        self._journal = journal
        self._settings = settings
        self._run_id = run_id
        self._refresh_all = refresh_all
        self._threads = ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1), thread_name_prefix="cwl-cache")
        self.keys = CallKeys(checksums, settings, ontology, self._threads)
        self._flights: dict[str, asyncio.Future[None]] = {}
        self._outputs = CachedOutputs()
        self._warned = False
        self._never_kept: dict[str, str] = {}  # why, by the digest of the key

    async def look_up(self, tool: ToolPlan, values: CwlObject, backend: Backend, place: CallPlace) -> Lookup:
        """Look a call up, waiting for an identical one that runs.

        Raises:
            CwlPrefectError: Its image cannot be had, or ``enableReuse`` cannot be evaluated.
        """
        try:
            call = await self.keys.make(tool, values, backend, step=place.step, name=place.name)
        except NotReusableError as error:
            self.refuse(place, str(error))
            return Lookup()
        call, found = await self._found(call, place)
        while found is None:
            digest = call.key.digest
            if digest in self._never_kept:
                self.refuse(place, self._never_kept[digest])
                return Lookup()
            if await self._locked(digest):
                release = self._releasing(digest)
                try:  # it may have been kept since
                    call, found = await self._found(call, place)
                    if found is None and call.key.digest == digest:
                        return Lookup(call=self._missed(call, place), release=release)
                except BaseException:
                    release()
                    raise
                release()
            else:
                call, found = await self._found(call, place)
        self._journal.found(place.step, place.name, call.key)
        return _hit(call, *found)

    async def peek(self, tool: ToolPlan, values: CwlObject, backend: Backend, place: CallPlace) -> Lookup:
        """Look a call up as :meth:`look_up` does, but wait for nobody, hold no key, and write no journal."""
        try:
            call = await self.keys.make(tool, values, backend, step=place.step, name=place.name)
        except NotReusableError:
            return Lookup()
        call, found = await self._found(call, place)
        return Lookup(call=call) if found is None else _hit(call, *found)

    def _missed(self, call: Keyed, place: CallPlace) -> Keyed:
        """Note that a call was not found, and give it with its key as it is kept."""
        kept = for_people(call.key)
        self._journal.missed(place.step, place.name, kept, refreshed=self._is_refreshed(place))
        return replace(call, key=kept)

    def refuse(self, place: CallPlace, reason: str) -> None:
        """Note that a call cannot be cached."""
        self._journal.refused(place.step, place.name, reason)

    async def keep(self, lookup: Lookup, outputs: CwlObject, place: CallPlace, ran: Ran, *, quickly: bool) -> None:
        """Keep what a call gave that was looked up; a cache that cannot be written is done without.

        Args:
            lookup: What :meth:`look_up` gave.
            outputs: The call's outputs.
            place: The call.
            ran: What is known of it since it ran.
            quickly: Whether its outputs are so small that a hop to a thread would cost more.
        """
        if quickly and self._store.near:
            self._keep(lookup, outputs, place, ran)
        else:
            await in_thread(self._threads, self._keep, lookup, outputs, place, ran)

    def close(self) -> None:
        """Release locks, files and threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._locks.close()
        self._journal.close()
        self.checksums.close()

    async def _found(self, call: Keyed, place: CallPlace) -> tuple[Keyed, tuple[CwlObject, CacheEntry] | None]:
        """Return a call with the key under which it is, or is to be kept, and what it gave with its entry."""
        near, inputs = self._store.near, call.fingerprints.objects
        while True:
            digest = call.key.digest
            entry = self._read(digest) if near else await in_thread(self._threads, self._read, digest)
            if entry is None:
                return call, None
            seen = call.seen(entry.reads)
            if seen == entry.seen:
                break
            call = call.narrowed(seen)
        if not self._is_fresh(entry, place):
            return call, None
        if near and len(entry.files) <= FEW_FILES and all(file.content is not None for file in entry.files):
            restored = self._restored(entry, inputs, place)
        else:
            restored = await in_thread(self._threads, self._restored, entry, inputs, place)
        return call, None if restored is None else (restored, entry)

    def _is_fresh(self, entry: CacheEntry, place: CallPlace) -> bool:
        """Check whether an entry may be used: what this run gave may, also before it was resumed."""
        if entry.run_id == self._run_id:
            return True
        expires_s = self._settings.cache_expiration_s
        if expires_s is not None and time.time() - entry.created_at > expires_s:
            return False
        return not self._is_refreshed(place)

    def _is_refreshed(self, place: CallPlace) -> bool:
        """Check whether a call is to run although it is cached."""
        return self._refresh_all or any(_names(pattern, place.step) for pattern in self._settings.refresh)

    def _read(self, digest: str) -> CacheEntry | None:
        body = self._store.read_entry(digest)
        entry = None if body is None else decode_entry(digest, body)
        if body is not None and entry is None:
            self._store.remove_entry(digest)
        return entry

    def _restored(self, entry: CacheEntry, inputs: list[CwlObject], place: CallPlace) -> CwlObject | None:
        outdir = self._outputs.shared_directory(entry, place.outdir)
        try:
            if outdir is None:
                outdir = place.outdir
                make_empty(outdir)
            return restore(entry, outdir, inputs, self._store, self.checksums)
        except DamagedError as error:
            _logger.info("%s: a cached result is damaged and will be made again: %s", place.name, error)
            self._store.remove_entry(entry.key.digest)
        except OSError as error:
            _logger.warning("%s: a cached result cannot be used: %s", place.name, error)
        if outdir == place.outdir:
            remove_tree(outdir)
        return None

    async def _locked(self, digest: str) -> bool:
        """Take the lock of a key, or wait for its holder in this run, or a while for one elsewhere."""
        running = self._flights.get(digest)
        if running is not None:
            await asyncio.wait([running])
            return False
        if self._locks.take(digest):
            self._flights[digest] = asyncio.get_running_loop().create_future()
            return True
        await asyncio.sleep(_POLL_INTERVAL_S)
        return False

    def _releasing(self, digest: str) -> Callable[[], None]:
        """Return what releases the lock of a key, once."""

        def release() -> None:
            """Return the key's lock back and wake who waits for it; further calls do nothing."""
            flight = self._flights.pop(digest, None)
            if flight is not None:
                self._locks.give_back(digest)
                flight.set_result(None)

        return release

    def _keep(self, lookup: Lookup, outputs: CwlObject, place: CallPlace, ran: Ran) -> None:
        call, recorded = lookup.call, ran.recorded
        if call is None or recorded is None:
            self._learn(outputs)
            return
        try:
            call.fingerprints.check_unchanged()
            captured = self._captured(outputs, place, call.fingerprints.objects)
            _check_same_elsewhere(recorded, captured.outputs)
            seen = call.seen(recorded.reads)
            entry = CacheEntry(
                key=CallKey(digest=call.key.digest, parts={**call.key.parts, "seen": seen}),
                step=place.step,
                tool=ran.tool,
                run_id=self._run_id,
                created_at=time.time(),
                duration_s=round(time.time() - lookup.began_at, 3),
                outputs=captured.outputs,
                reads=recorded.reads,
                seen=seen,
                files=tuple(captured.files.values()),
                directories=tuple(captured.directories),
                links=tuple(captured.links.values()),
                broken_links=tuple(captured.broken_links.values()),
            )
            self._store.write_entry(call.key.digest, encode_entry(entry))
        except NotReusableError as error:
            self._never_kept[call.key.digest] = str(error)
            self.refuse(place, str(error))
        except OSError as error:
            if not self._warned:
                _logger.warning("results cannot be kept in the cache at %s: %s", self._store.place, error)
            self._warned = True

    def _captured(self, outputs: CwlObject, place: CallPlace, inputs: list[CwlObject]) -> Captured:
        """Put the files of a call into the store, and tell what is to be known of its outputs."""
        captured = capture(outputs, place.outdir, inputs, self.checksums)
        for file in captured.files.values():
            if file.content is None:
                self._store.put(file, place.outdir / file.path)
        return captured

    def _learn(self, outputs: CwlObject) -> None:
        """Remember the checksums of large outputs that are not kept, so that later calls need not read them."""
        for found in file_objects(outputs):
            size, checksum, location = found.get("size"), found.get("checksum"), found.get("location")
            if isinstance(size, int) and size >= LARGE and isinstance(checksum, str) and isinstance(location, str):
                path = local_path(location)
                self.checksums.remember(path, path.stat(), checksum)


def open_cache(plan: WorkflowPlan, settings: Settings, run_id: str) -> CallCache | None:
    """Open the call cache for a run, or give None where nothing is to be cached.

    Prefect's own switches PREFECT_TASKS_REFRESH_CACHE and PREFECT_TASKS_DISABLE_CACHING are obeyed. A run with a tool
    that changes files in place has no cache: what such files held when they were made is lost.

    Raises:
        UsageError: A step to be refreshed does not exist, or the cache's URL is of no known kind.
    """
    from prefect.settings import PREFECT_TASKS_DISABLE_CACHING, PREFECT_TASKS_REFRESH_CACHE

    _check_refresh(plan, settings)
    if (
        not settings.cache
        or PREFECT_TASKS_DISABLE_CACHING.value()
        or any(isinstance(step.run, ToolPlan) and updates_in_place(step.run) for _, step in tool_steps(plan))
    ):
        return None
    checksums = Checksums(settings.checksums)
    store = open_store(settings.cache_url, settings.home, checksums)
    return CallCache(
        store=store,
        checksums=checksums,
        locks=KeyLocks(lock_file(store, settings.home)),
        journal=Journal(settings.reports / run_id / LOOK_UPS if settings.record else None),
        settings=settings,
        run_id=run_id,
        ontology=plan.ontology,
        refresh_all=bool(PREFECT_TASKS_REFRESH_CACHE.value()),
    )


def _check_same_elsewhere(recorded: Recorded, outputs: CwlObject) -> None:
    """Raise NotReusableError where another run may give something else: by chance, or by places that it has not."""
    if recorded.obstacle is not None:
        raise NotReusableError(recorded.obstacle)
    text = canonical(outputs)
    for directory in recorded.directories:
        if any(canonical(written)[1:-1] in text for written in spellings(directory)):
            raise NotReusableError(f"an output holds the path {directory}, which is another in each run")


def _check_refresh(plan: WorkflowPlan, settings: Settings) -> None:
    steps = [name for name, _ in tool_steps(plan)]
    for pattern in settings.refresh:
        if pattern != EVERY_STEP and not any(_names(pattern, step) for step in steps):
            hint = did_you_mean(pattern, steps, otherwise="its steps are:")
            raise UsageError(f"--refresh: there is no step {pattern} in {plan.name}.", hint=hint)


def _hit(call: Keyed, outputs: CwlObject, entry: CacheEntry) -> Lookup:
    return Lookup(call=call, outputs=outputs, saved_s=entry.duration_s, run_id=entry.run_id)


def _names(pattern: str, step: str) -> bool:
    """Check whether a step, or one that it is a part of, has a name; indices of scatters do not count."""
    plain = without_indices(step)
    return fnmatchcase(plain, pattern) or fnmatchcase(plain, f"{pattern}.*")
