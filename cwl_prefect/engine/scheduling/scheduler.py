"""How many calls run at once: a pool of cores and memory, shared by priority and then first come first served."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from cwl_prefect.engine.scheduling.machine import machine_resources
from cwl_prefect.engine.scheduling.machine_shares import MachineShares
from cwl_prefect.engine.scheduling.share import Share
from cwl_prefect.errors import ResourceError
from cwl_prefect.model.job import Resources
from cwl_prefect.settings import Settings

_logger = logging.getLogger(__name__)

_BOUNDLESS = 1e12
_ASK_AGAIN_S = 0.01  # nobody tells when another run gives something back
_ASK_AGAIN_MOST_S = 0.25
_ASK_AGAIN_PART = 0.05  # of how long it was refused, so that a run which waits for long costs next to nothing
_TOLD_AFTER_S = 30.0
_OTHERS = ""  # names no step


class ResourcePool:
    """Bounds what runs at once by cores and memory together.

    Requests of one priority are served strictly in the order in which they come, so that a large one is never starved
    by small ones behind it. A waiter that is cancelled gives its place back. Meant for one event loop; not for threads.
    """

    def __init__(
        self, *, cores: float, ram_mib: float, all_cores_for_more: bool = False, shares: MachineShares | None = None
    ) -> None:
        """Make a pool that hands out at most these cores and this memory.

        Args:
            cores: How many there are.
            ram_mib: How much memory there is.
            all_cores_for_more: Whether :meth:`fitted` gives a request for more cores than there are all of them.
            shares: What is to be had of them beside other runs of the machine; None: all of it.
        """
        self._all_for_more = all_cores_for_more
        self._told: set[str] = set()
        self.cores = cores
        self.ram_mib = ram_mib
        self._total = Share.of(cores, ram_mib)
        self._free = self._total
        self._waiting: deque[_Waiter] = deque()
        self._shares = shares
        self._asking: asyncio.TimerHandle | None = None
        self._refused_s: float | None = None

    @classmethod
    def of_machine(cls, settings: Settings, *, shares: MachineShares | None = None) -> "ResourcePool":
        """Make a pool of what this machine (or the container around this process) has, capped by the settings.

        What asks for more cores than the machine has only takes longer on it, so it runs where no setting caps them.
        """
        cores, ram_mib = machine_resources() if shares is None else shares.whole.cores_and_mib
        return cls(
            cores=min(cores, settings.max_cores or cores),
            ram_mib=min(ram_mib, settings.max_ram_mib or ram_mib),
            all_cores_for_more=settings.max_cores is None,
            shares=shares,
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
        need = Share.of(resources.cores, resources.ram_mib)
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
        need = Share.of(resources.cores, resources.ram_mib)
        await self._acquire(need, priority)
        try:
            yield
        finally:
            self._release(need)

    async def _acquire(self, need: Share, priority: int) -> None:
        if not self._waiting and self._taken(need):
            return
        waiter = _Waiter(need=need, priority=priority, granted=asyncio.get_running_loop().create_future())
        self._enqueue(waiter)
        self._serve()  # it may fit where what waits for longer does not
        try:
            await waiter.granted
        except asyncio.CancelledError:
            if waiter.granted.done() and not waiter.granted.cancelled():
                self._release(need)
            else:
                self._serve()
            raise

    def _enqueue(self, waiter: "_Waiter") -> None:
        """Put a waiter behind all of its priority and above."""
        place = len(self._waiting)
        while place and self._waiting[place - 1].priority < waiter.priority:
            place -= 1
        self._waiting.insert(place, waiter)

    def _taken(self, need: Share) -> bool:
        """Take a share where it is free here, and no other run of the machine has it or goes first."""
        if not need.fits(self._free) or not (self._shares is None or self._shares.take(need)):
            return False
        self._free = self._free.less(need)
        return True

    def _release(self, share: Share) -> None:
        self._free = self._free.plus(share)
        if self._shares is not None:
            self._shares.give_back(share)
        self._serve()

    def _serve(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None
        while self._waiting:
            waiter = self._waiting[0]
            if not waiter.granted.done():
                if not self._taken(waiter.need):
                    self._ask_again(waiter.need)
                    return
                waiter.granted.set_result(None)
            self._waiting.popleft()
            self._refused_s = None
        self._wait_for_no_other_run()

    def _ask_again(self, need: Share) -> None:
        """Ask the other runs of the machine again, if it is they who have what the first in the queue waits for."""
        if self._shares is None or not need.fits(self._free):
            self._wait_for_no_other_run()
            return
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        self._refused_s = now_s if self._refused_s is None else self._refused_s
        waited_s = now_s - self._refused_s
        pause_s = min(max(_ASK_AGAIN_S, waited_s * _ASK_AGAIN_PART), _ASK_AGAIN_MOST_S)
        self._asking = loop.call_later(pause_s, self._serve)
        if waited_s > _TOLD_AFTER_S and _OTHERS not in self._told:
            self._told.add(_OTHERS)
            _logger.warning("calls wait for cores or memory that other runs of this machine use")

    def _wait_for_no_other_run(self) -> None:
        self._refused_s = None
        if self._shares is not None:
            self._shares.wait_no_more()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Waiter:
    need: Share
    priority: int
    granted: asyncio.Future[None]
