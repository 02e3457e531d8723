"""The driver's side: what calls need goes to an object store, and what they left comes from there."""

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from cwl_prefect._lib.locations import scheme_of, shown_url
from cwl_prefect._lib.single_flight import Once
from cwl_prefect.backends.kubernetes.manifest.job import StepPod
from cwl_prefect.backends.kubernetes.objects import job_name
from cwl_prefect.backends.kubernetes.transfers.bucket import blob
from cwl_prefect.backends.kubernetes.transfers.containers import TransferContainers
from cwl_prefect.backends.kubernetes.transfers.program import INPUTS, OUTPUTS
from cwl_prefect.backends.kubernetes.transfers.trees import (
    Entry,
    Tree,
    decoded,
    encoded,
    inside,
    make,
    scanned,
    sha1_of,
)
from cwl_prefect.backends.naming import FLOW_RUN_LABEL, job_labels
from cwl_prefect.errors import BackendError, StorageError, UsageError
from cwl_prefect.model.job import ContainerJob, Mount
from cwl_prefect.settings import Settings
from cwl_prefect.storage.blobs import Blobs
from cwl_prefect.storage.downloads import PARALLEL

_MIB = 2**20
TRUSTED_S = 6 * 3600.0
"""Seconds for which it is taken for granted that something is in the store that was not older than a day before."""

_logger = logging.getLogger(__name__)

_Identity: TypeAlias = tuple[int, int, int]
"""Size, time of change and number of a file, which tell that it is still the same."""


@dataclass(slots=True, kw_only=True)
class Transfers:
    """Files of calls between this process and an object store; each content goes there once.

    Attributes:
        containers: What does the rest in pods.
        runs: Directory of all workspaces.
    """

    containers: TransferContainers
    runs: Path
    _opened: Once[str, Blobs] = field(default_factory=lambda: Once(lambda url: asyncio.to_thread(Blobs, url)))
    _digests: dict[str, tuple[_Identity, str]] = field(default_factory=dict)  # of files, by path
    _there: dict[str, float] = field(default_factory=dict)  # digits of what is there, and since when that is known
    _sent: dict[str, float] = field(default_factory=dict)  # calls, and when
    _has_program: bool = False  # which pods therefore need not bring
    _uploading: dict[str, asyncio.Lock] = field(default_factory=dict)
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PARALLEL))

    def placed(self, step: StepPod, call: str, *, inputs_mib: float = 0.0, secret: str | None = None) -> StepPod:
        """Return a pod with what brings its files there and takes away what the step leaves.

        Neither asks for a part of the node, so that a call which asks for all of one has room there.

        Args:
            step: The pod.
            call: Its name, see :func:`call_of`.
            inputs_mib: What was sent for it.
            secret: Secret whose variables are the credentials; None: the one that settings name, if any.
        """
        containers = self.containers if secret is None else replace(self.containers, secret=secret)
        bringing = () if self._has_program else step.init_containers
        return replace(
            step,
            init_containers=[*bringing, containers.fetching(f"calls/{call}")],
            beside=[containers.storing(f"calls/{call}")],
            disk_mib=inputs_mib + step.job.resources.outdir_mib,
        )

    async def send(self, call: str, shown: Sequence[Mount]) -> float:
        """Upload what a call is to find, where nobody has uploaded it yet, and return how many MiB that is.

        Args:
            call: Its name.
            shown: What it sees of this machine's files.

        Raises:
            BackendError: Something cannot be read, or the store does not take it.
        """
        with _errors(call):
            blobs = await self._opened.get(self.containers.url)
            self._sent[call] = time.monotonic()
            self._has_program = self._has_program or await _is_there(blobs, self.containers.kept)
            trees = await asyncio.to_thread(lambda: tuple(self._trees(shown)))
            files = {entry.sha1: place for tree in trees for entry, place in _files(tree)}
            await asyncio.gather(*(self._put(blobs, sha1, Path(place)) for sha1, place in files.items()))
            await blobs.write(f"calls/{call}/{INPUTS}", encoded(trees))
        return sum(entry.size for tree in trees for entry in tree.entries) / _MIB

    async def receive(self, call: str) -> bool:
        """Bring here what a call left, in place of what was sent; False where it has not uploaded it.

        To be asked for once its pod says that it has: what an earlier try left is replaced by then.

        Raises:
            BackendError: It cannot be read or written.
        """
        with _errors(call):
            blobs = await self._opened.get(self.containers.url)
            told = await blobs.read(f"calls/{call}/{OUTPUTS}")
            if told is None:
                return False
            for tree in decoded(told):
                await self._replace(Path("/", tree.path), tree.entries, blobs)
                self._learn(Path("/", tree.path), tree.entries, since_s=self._sent.get(call))
        return True

    def doubt(self) -> None:
        """Take nothing for granted that was in the store: somebody may have removed it."""
        self._there.clear()
        self._has_program = False

    async def forget(self, call: str) -> None:
        """Remove the lists of a call; what the store does not let go of is told to the log."""
        self._sent.pop(call, None)
        try:
            blobs = await self._opened.get(self.containers.url)
            await blobs.remove(*(f"calls/{call}/{name}" for name in (INPUTS, OUTPUTS)))
        except StorageError as error:
            _logger.warning("%s stays in the object store: %s", f"calls/{call}", error.message)

    async def _put(self, blobs: Blobs, sha1: str, source: Path) -> None:
        async with self._uploading.setdefault(sha1, asyncio.Lock()):
            now_s = time.monotonic()
            if now_s < self._there.get(sha1, -TRUSTED_S) + TRUSTED_S:
                return
            async with self._turns:
                await blobs.put(blob(sha1), source)
            self._there[sha1] = now_s

    async def _replace(self, top: Path, entries: Sequence[Entry], blobs: Blobs) -> None:
        """Make a tree beside the one that is there, then put it in its place."""
        if os.path.realpath(top) != str(top) or not top.is_relative_to(self.runs):
            raise ValueError(f"{top} is no place of a run; somebody else has written to the object store")
        arriving, loop = top.with_name(f".{top.name}.arriving"), asyncio.get_running_loop()

        def get(entry: Entry, place: str) -> None:
            """Fetch the content of a file, from a thread that makes the tree."""
            fetching = blobs.get(blob(entry.sha1), Path(place), entry.sha1)
            asyncio.run_coroutine_threadsafe(fetching, loop).result()

        await asyncio.to_thread(_remove, arriving)
        try:
            await asyncio.to_thread(make, str(arriving), entries, get)
            await asyncio.to_thread(_swap, arriving, top)
        finally:
            await asyncio.to_thread(_remove, arriving)

    def _learn(self, top: Path, entries: Sequence[Entry], *, since_s: float | None) -> None:
        """Remember what came from the store, so that it is neither read nor uploaded for the next step.

        Args:
            top: Where it is here.
            entries: What it is.
            since_s: When its call was sent; None where an earlier process did that, who knows how long ago.
        """
        for entry in entries:
            if entry.sha1:
                place = inside(str(top), entry.path)
                self._digests[place] = (_identity(place), entry.sha1)
                if since_s is not None:
                    self._there.setdefault(entry.sha1, since_s)

    def _trees(self, shown: Sequence[Mount]) -> Iterator[Tree]:
        """Yield what is at the sources of mounts, each once."""
        sources = {mount.source for mount in shown}
        writable = {mount.source for mount in shown if mount.writable}
        for source in sorted(source for source in sources if sources.isdisjoint(source.parents)):
            own = source.is_relative_to(self.runs)  # where tools may have made links that lead anywhere
            entries = scanned(str(source), follow=not own, sha1=self._sha1)
            changes = any(place.is_relative_to(source) for place in writable)
            yield Tree(path=str(source).lstrip("/"), writable=changes, entries=tuple(entries))

    def _sha1(self, place: str) -> str:
        identity = _identity(place)
        known = self._digests.get(place)
        if known is None or known[0] != identity:
            known = self._digests[place] = (identity, sha1_of(place))
        return known[1]


def call_of(job: ContainerJob) -> str:
    """Return the name below which the lists of a call are: that of its Job, below that of its run."""
    run, name = job_labels(job, {}).get(FLOW_RUN_LABEL), job_name(job.job_id)
    return name if run is None else f"{run}/{name}"


async def _is_there(blobs: Blobs, prefix: str) -> bool:
    """Check whether the launcher's program is there for every kind of node that asked for it."""
    found = await blobs.sizes(prefix)
    return bool(found) and all(found)


def open_transfers(settings: Settings) -> Transfers | None:
    """Return what brings files to the store that settings name; None where they name none.

    Raises:
        UsageError: It is no store of S3's kind.
    """
    url = settings.workspaces
    if url is None:
        return None
    if scheme_of(url) != "s3" or "?" in url:
        raise UsageError(
            f"CWL_PREFECT_WORKSPACES: {shown_url(url)} is no place in an object store of S3's kind.",
            hint="Write s3://BUCKET/PREFIX; AWS_ENDPOINT_URL names a store that is not Amazon's.",
        )
    containers = TransferContainers(
        url=url.rstrip("/"),
        image=settings.workspaces_image,
        secret=settings.workspaces_secret,
        launcher=settings.kubernetes_helper_image,
    )
    return Transfers(containers=containers, runs=settings.runs.resolve())


def _identity(place: str) -> _Identity:
    status = Path(place).stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def _files(tree: Tree) -> Iterator[tuple[Entry, str]]:
    """Yield the files of a tree that are not in its list, and where they are."""
    return ((entry, inside(f"/{tree.path}", entry.path)) for entry in tree.entries if entry.sha1)


def _swap(arriving: Path, top: Path) -> None:
    """Put what has arrived in the place of what was there."""
    aside = top.with_name(f".{top.name}.left")
    _remove(aside)
    if top.is_dir():
        top.rename(aside)
    arriving.replace(top)
    _remove(aside)


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place, ignore_errors=True)
    else:
        place.unlink(missing_ok=True)


@contextmanager
def _errors(call: str) -> Iterator[None]:
    try:
        yield
    except StorageError as error:
        raise BackendError(error.message.rstrip("."), hint=error.hint, passing=error.passing) from error
    except (OSError, ValueError) as error:
        raise BackendError(f"the files of {call} cannot be brought to or from its pod: {error}") from error
