"""How many calls run at once: a pool of cores and memory, shared by priority and then first come first served."""

import asyncio
import logging
import os
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cwl_prefect.errors import ResourceError
from cwl_prefect.model.job import Resources
from cwl_prefect.settings import Settings

_logger = logging.getLogger(__name__)

_BOUNDLESS = 1e12
_PARTS = 1_000_000  # whole numbers, so that ten times 0.1 cores are one core


class ResourcePool:
    """Bounds what runs at once by cores and memory together.

    Requests of one priority are served strictly in the order in which they come, so that a large one is never starved
    by small ones behind it. A waiter that is cancelled gives its place back. Meant for one event loop; not for threads.
    """

    def __init__(self, *, cores: float, ram_mib: float, all_cores_for_more: bool = False) -> None:
        """Make a pool that hands out at most these cores and this memory.

        Args:
            cores: How many there are.
            ram_mib: How much memory there is.
            all_cores_for_more: Whether :meth:`fitted` gives a request for more cores than there are all of them.
        """
        self._all_for_more = all_cores_for_more
        self._told: set[str] = set()
        self.cores = cores
        self.ram_mib = ram_mib
        self._total = _Share.of(cores, ram_mib)
        self._free = self._total
        self._waiting: deque[_Waiter] = deque()

    @classmethod
    def of_machine(cls, settings: Settings) -> "ResourcePool":
        """Make a pool of what this machine (or the container around this process) has, capped by the settings.

        What asks for more cores than the machine has only takes longer on it, so it runs where no setting caps them.
        """
        cores, ram_mib = machine_resources()
        return cls(
            cores=min(cores, settings.max_cores or cores),
            ram_mib=min(ram_mib, settings.max_ram_mib or ram_mib),
            all_cores_for_more=settings.max_cores is None,
        )

    @classmethod
    def of_cluster(cls, settings: Settings) -> "ResourcePool":
        """Make a pool for machines that find room by themselves: only the settings cap it."""
        return cls(cores=settings.max_cores or _BOUNDLESS, ram_mib=settings.max_ram_mib or _BOUNDLESS)

    def fitted(self, resources: Resources, step: str) -> Resources:
        """Return a request with no more cores than there are, where one for more is given all of them; warns of it.

        Args:
            resources: What a call asks for.
            step: Its step; each is warned of once.
        """
        if not self._all_for_more or resources.cores <= self.cores:
            return resources
        if step not in self._told:
            self._told.add(step)
            _logger.warning("%s asks for %g cores and gets the %g of this machine", step, resources.cores, self.cores)
        return replace(resources, cores=self.cores)

    def check(self, resources: Resources, who: str) -> None:
        """Refuse a request that can never be met.

        Raises:
            ResourceError: It is larger than the whole pool.
        """
        need = _Share.of(resources.cores, resources.ram_mib)
        if need.fits(self._total):
            return
        excess = [
            *([f"{resources.cores:g} cores, {self.cores:g} may be used"] if need.cores > self._total.cores else []),
            *(
                [f"{resources.ram_mib:g} MiB of memory, {self.ram_mib:g} may be used"]
                if need.ram > self._total.ram
                else []
            ),
        ]
        msg = f"{who} asks for {' and for '.join(excess)}"
        hint = (
            "ask for less by --step-overrides or in its ResourceRequirement, raise --max-cores or --max-ram where they "
            "are set, or use a larger machine"
        )
        raise ResourceError(msg, hint=hint)

    @asynccontextmanager
    async def reserve(self, resources: Resources, *, priority: int = 0) -> AsyncGenerator[None]:
        """Wait for a share of the pool and hold it for as long as the context lasts.

        Args:
            resources: The share.
            priority: Requests of a higher one are served before those that wait with a lower one.

        Raises:
            ResourceError: The request is larger than the whole pool.
        """
        self.check(resources, "a call")
        need = _Share.of(resources.cores, resources.ram_mib)
        await self._acquire(need, priority)
        try:
            yield
        finally:
            self._release(need)

    async def _acquire(self, need: "_Share", priority: int) -> None:
        if not self._waiting and need.fits(self._free):
            self._free = self._free.less(need)
            return
        waiter = _Waiter(need=need, priority=priority, granted=asyncio.get_running_loop().create_future())
        self._enqueue(waiter)
        self._release(_NOTHING)  # it may fit where what waits for longer does not
        try:
            await waiter.granted
        except asyncio.CancelledError:
            granted_meanwhile = waiter.granted.done() and not waiter.granted.cancelled()
            self._release(need if granted_meanwhile else _NOTHING)
            raise

    def _enqueue(self, waiter: "_Waiter") -> None:
        """Put a waiter behind all of its priority and above."""
        place = len(self._waiting)
        while place and self._waiting[place - 1].priority < waiter.priority:
            place -= 1
        self._waiting.insert(place, waiter)

    def _release(self, share: "_Share") -> None:
        self._free = self._free.plus(share)
        while self._waiting:
            waiter = self._waiting[0]
            if not waiter.granted.done():
                if not waiter.need.fits(self._free):
                    return
                self._free = self._free.less(waiter.need)
                waiter.granted.set_result(None)
            self._waiting.popleft()


@dataclass(frozen=True, slots=True)
class _Share:
    cores: int
    ram: int

    @classmethod
    def of(cls, cores: float, ram_mib: float) -> "_Share":
        """Count in whole parts, of which any number adds up without rounding."""
        return cls(round(cores * _PARTS), round(ram_mib * _PARTS))

    def fits(self, free: "_Share") -> bool:
        """Check whether this is free."""
        return self.cores <= free.cores and self.ram <= free.ram

    def less(self, other: "_Share") -> "_Share":
        """Return what is left when the other is taken."""
        return _Share(self.cores - other.cores, self.ram - other.ram)

    def plus(self, other: "_Share") -> "_Share":
        """Return what there is when the other comes back."""
        return _Share(self.cores + other.cores, self.ram + other.ram)


_NOTHING = _Share(0, 0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Waiter:
    need: _Share
    priority: int
    granted: asyncio.Future[None]


def machine_resources(
    control_groups: Path = Path("/sys/fs/cgroup"),
    membership: Path = Path("/proc/self/cgroup"),
) -> tuple[float, float]:
    """Return the cores, and the memory in MiB, that machine and control groups let this process use."""
    import psutil

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1
    directories = list(_group_directories(control_groups, membership))
    cores = [limit for directory in directories for limit in _core_limits(directory)]
    memory = [limit for directory in directories for limit in _memory_limits(directory)]
    total = psutil.virtual_memory().total
    return min([float(allowed), *cores]), min([total, *memory]) / 2**20


def _group_directories(control_groups: Path, membership: Path) -> Iterator[Path]:
    """Yield this process's control groups (version 2, then 1) with all above them, since each one limits."""
    for line in _text(membership).splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            mounted = control_groups / controller
            directory = mounted / path.lstrip("/")
            while directory.is_relative_to(mounted):
                yield directory
                directory = directory.parent


def _core_limits(directory: Path) -> Iterator[float]:
    words = _text(directory / "cpu.max").split()
    if not words:
        words = [_text(directory / "cpu.cfs_quota_us").strip(), _text(directory / "cpu.cfs_period_us").strip()]
    if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[0]) and int(words[1]):
        yield int(words[0]) / int(words[1])


def _memory_limits(directory: Path) -> Iterator[int]:
    for name in ("memory.max", "memory.limit_in_bytes"):
        word = _text(directory / name).strip()
        if word.isdigit() and int(word):
            yield int(word)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
