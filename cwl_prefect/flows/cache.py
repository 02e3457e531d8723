"""The call cache of a run: look up a call, let identical calls run once, keep what a call gave."""

import asyncio
import errno
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import ParamSpec, TypeVar

from cwl_prefect.backends.base import Backend
from cwl_prefect.cwl.reuse import updates_in_place
from cwl_prefect.engine.cache_entry import Captured, capture, decode_entry, encode_entry, flattened, restore
from cwl_prefect.engine.cache_key import for_people
from cwl_prefect.engine.cache_places import lock_file, open_store
from cwl_prefect.engine.cache_store import DamagedError, Store
from cwl_prefect.engine.checksums import LARGE, Checksums
from cwl_prefect.engine.fingerprint import Fingerprints, NotReusableError, local_path
from cwl_prefect.engine.journal import Journal
from cwl_prefect.engine.key_locks import KeyLocks
from cwl_prefect.engine.overrides import tool_steps
from cwl_prefect.engine.workspace import remove_tree
from cwl_prefect.errors import UsageError
from cwl_prefect.flows.cache_keys import FEW_FILES, CallKeys
from cwl_prefect.flows.cached_outputs import CachedOutputs
from cwl_prefect.model.cache import CacheEntry, CallKey
from cwl_prefect.model.names import without_indices
from cwl_prefect.model.plan import ToolPlan, WorkflowPlan
from cwl_prefect.model.values import CwlObject, file_objects
from cwl_prefect.settings import EVERY_STEP, Settings

P = ParamSpec("P")
T = TypeVar("T")

_logger = logging.getLogger(__name__)

_POLL_INTERVAL_S = 0.1  # where another process runs an identical call


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlace:
    """Which call is looked up, and where its outputs go if it is found.

    Attributes:
        step: Path of its step.
        name: Its name.
        outdir: Where its outputs go, or lie once it has run.
        home: Directory whose files are its own, where it is a larger one than outdir.
        inside: Paths of the steps that are found with it, where it is a subworkflow or a scatter.
        calls: How many calls are found with it, where it is a scatter. If it is not found each of them is looked up, so
            that only what came of those is noted.
    """

    step: str
    name: str
    outdir: Path
    home: Path | None = None
    inside: tuple[str, ...] = ()
    calls: int = 1


@dataclass(slots=True, kw_only=True)
class Lookup:
    """What came of looking a call up; whoever gets one must release it.

    Attributes:
        key: Its key, or None where it has none.
        outputs: What an identical call gave before, or None where the call must run.
        call_keys: Keys of the calls inside that ended well, where it is a subworkflow or a scatter.
    """

    key: CallKey | None = None
    outputs: CwlObject | None = None
    fingerprints: Fingerprints | None = None
    call_keys: list[str] = field(default_factory=list)
    began_at: float = field(default_factory=time.time)
    release: Callable[[], None] = lambda: None


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
        self._checksums = checksums
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

    async def look_up(self, tool: ToolPlan, values: CwlObject, backend: Backend, place: CallPlace) -> Lookup:
        """Look a call up, waiting for an identical one that runs.

        Raises:
            CwlPrefectError: Its image cannot be had, or ``enableReuse`` cannot be evaluated.
        """
        try:
            fingerprints, key = await self.keys.make(tool, values, backend, step=place.step, name=place.name)
        except NotReusableError as error:
            self.refuse(place, str(error))
            return Lookup()
        found = await self._found(key, fingerprints.objects, place)
        while found is None:
            if await self._locked(key.digest):
                release = self._releasing(key.digest)
                try:  # it may have been kept since
                    found = await self._found(key, fingerprints.objects, place)
                    if found is None:
                        return Lookup(key=self._missed(key, place), fingerprints=fingerprints, release=release)
                except BaseException:
                    release()
                    raise
                release()
            else:
                found = await self._found(key, fingerprints.objects, place)
        self._journal.found(place.step, place.name, key)
        return Lookup(key=key, outputs=found)

    async def find(self, key: CallKey, fingerprints: Fingerprints, place: CallPlace) -> Lookup:
        """Look up what has a key already, without waiting for whoever may be making it; nothing has to be released."""
        found = await self._found(key, fingerprints.objects, place)
        if found is None:
            key = self._missed(key, place)
        else:
            self._journal.found(place.step, place.name, key, calls=place.calls)
        return Lookup(key=key, outputs=found, fingerprints=fingerprints)

    def _missed(self, key: CallKey, place: CallPlace) -> CallKey:
        """Note that a call was not found, and give its key as it is kept."""
        kept = for_people(key)
        if place.calls == 1:
            self._journal.missed(place.step, place.name, kept)
        return kept

    def refuse(self, place: CallPlace, reason: str) -> None:
        """Note that a call cannot be cached."""
        if place.calls == 1:
            self._journal.refused(place.step, place.name, reason)

    async def keep(self, lookup: Lookup, outputs: CwlObject, place: CallPlace, tool: str, *, quickly: bool) -> None:
        """Keep what a call gave that was looked up; a cache that cannot be written is done without.

        Args:
            lookup: What :meth:`look_up` gave.
            outputs: The call's outputs.
            place: The call.
            tool: Name of its tool.
            quickly: Whether its outputs are so small that a hop to a thread would cost more.
        """
        if quickly and self._store.near:
            self._keep(lookup, outputs, place, tool)
        else:
            await self._in_thread(self._keep, lookup, outputs, place, tool)

    def begin(self, name: str, workflow: str) -> None:
        """Note the run's name, for whoever asks later."""
        self._journal.began(name, workflow)

    def close(self) -> None:
        """Give back locks, files and threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._locks.close()
        self._journal.close()
        self._checksums.close()

    async def _found(self, key: CallKey, inputs: list[CwlObject], place: CallPlace) -> CwlObject | None:
        near = self._store.near
        entry = self._read(key.digest) if near else await self._in_thread(self._read, key.digest)
        if entry is None or not self._is_fresh(entry, place):
            return None
        if near and len(entry.files) <= FEW_FILES and all(file.content is not None for file in entry.files):
            return self._restored(entry, inputs, place)
        return await self._in_thread(self._restored, entry, inputs, place)

    def _is_fresh(self, entry: CacheEntry, place: CallPlace) -> bool:
        """Tell whether an entry may be used: what this run gave may, also before it was resumed."""
        if entry.run_id == self._run_id:
            return True
        expires_s = self._settings.cache_expiration_s
        if self._refresh_all or (expires_s is not None and time.time() - entry.created_at > expires_s):
            return False
        steps = (place.step, *place.inside)
        return not any(_names(pattern, step) for pattern in self._settings.refresh for step in steps)

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
                remove_tree(outdir)
                if os.path.lexists(outdir):
                    raise FileExistsError(errno.EEXIST, "what lies there cannot be removed", str(outdir))
            return restore(entry, outdir, inputs, self._store, self._checksums)
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
        """Give what releases the lock of a key, once."""

        def release() -> None:
            """Give the key's lock back and wake who waits for it; further calls do nothing."""
            flight = self._flights.pop(digest, None)
            if flight is not None:
                self._locks.give_back(digest)
                flight.set_result(None)

        return release

    def _keep(self, lookup: Lookup, outputs: CwlObject, place: CallPlace, tool: str) -> None:
        try:
            if lookup.key is None or lookup.fingerprints is None:
                self._learn(outputs)
                return
            lookup.fingerprints.check_unchanged()
            captured = self._captured(outputs, place, lookup.fingerprints.objects)
            entry = CacheEntry(
                key=lookup.key,
                step=place.step,
                tool=tool,
                run_id=self._run_id,
                created_at=time.time(),
                duration_s=round(time.time() - lookup.began_at, 3),
                outputs=captured.outputs,
                files=tuple(captured.files.values()),
                directories=tuple(captured.directories),
                links=tuple(captured.links.values()),
                broken_links=tuple(captured.broken_links.values()),
                call_keys=tuple(dict.fromkeys(lookup.call_keys)),
            )
            self._store.write_entry(lookup.key.digest, encode_entry(entry))
        except NotReusableError as error:
            self.refuse(place, str(error))
        except OSError as error:
            if not self._warned:
                _logger.warning("results cannot be kept in the cache at %s: %s", self._store.place, error)
            self._warned = True

    def _captured(self, outputs: CwlObject, place: CallPlace, inputs: list[CwlObject]) -> Captured:
        """Put the files of a call into the store, and tell what is to be known of its outputs."""
        captured = capture(outputs, place.outdir, inputs, self._checksums, home=place.home)
        for file in captured.files.values():
            if file.content is None:
                self._store.put(file, place.outdir / file.path)
        return captured if place.home is None else flattened(captured)

    def _learn(self, outputs: CwlObject) -> None:
        """Remember the checksums of large outputs that are not kept, so that later calls need not read them."""
        for found in file_objects(outputs):
            size, checksum, location = found.get("size"), found.get("checksum"), found.get("location")
            if isinstance(size, int) and size >= LARGE and isinstance(checksum, str) and isinstance(location, str):
                path = local_path(location)
                self._checksums.remember(path, path.stat(), checksum)

    async def _in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: function(*args, **kwargs))


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
        journal=Journal(settings.journals / f"{run_id}.jsonl"),
        settings=settings,
        run_id=run_id,
        ontology=plan.ontology,
        refresh_all=bool(PREFECT_TASKS_REFRESH_CACHE.value()),
    )


def _check_refresh(plan: WorkflowPlan, settings: Settings) -> None:
    steps = [name for name, _ in tool_steps(plan)]
    for pattern in settings.refresh:
        if pattern != EVERY_STEP and not any(_names(pattern, step) for step in steps):
            raise UsageError(
                f"--refresh: there is no step {pattern} in {plan.name}.", hint=f"its steps are: {', '.join(steps)}."
            )


def _names(pattern: str, step: str) -> bool:
    """Tell whether a step, or one that it is a part of, has a name; indices of scatters do not count."""
    plain = without_indices(step)
    return fnmatchcase(plain, pattern) or fnmatchcase(plain, f"{pattern}.*")
