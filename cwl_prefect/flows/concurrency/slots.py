"""Slots of the Prefect server's global concurrency limits, as the calls of a run hold them.

They are leased: a driver that is killed renews nothing, and the server takes them back. Prefect's own context manager
goes on asking for a slot after its caller was cancelled, and ends a lease only in the task that began it.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import UUID

import httpx

from cwl_prefect._lib.background import alongside
from cwl_prefect._lib.cancellation import shielded
from cwl_prefect.server.failures import api_failures

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

LEASE_S = 60
"""Seconds for which the server keeps slots that nobody renews: the least that it admits."""

_RENEWAL_S = LEASE_S / 3
_LONGEST_PAUSE_S = 5.0  # the server asks for up to 30 s, in which a free slot would lie idle
_TOLD_AFTER_S = 30.0

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SharedLimits:
    """The limits that the calls of one run share with other runs.

    Attributes:
        run_id: Identifier of the flow run, which the server shows as who holds slots.
        client: Reaches the API; None where no call occupies any slots, or is only shown.
    """

    run_id: str
    client: "PrefectClient | None" = None
    _asking: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    _freed: dict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))

    @asynccontextmanager
    async def held(self, slots: Mapping[str, int], call: str) -> AsyncIterator[None]:
        """Wait for slots, first come first served, and hold them for as long as the context lasts.

        Several limits are asked for in the order of their names, so that no calls wait for each other.

        Args:
            slots: How many of which limit.
            call: Who wants them, for people.

        Raises:
            ServerError: The API fails.
        """
        async with AsyncExitStack() as leases:
            for name in sorted(slots) if self.client is not None else ():
                await leases.enter_async_context(self._leased(name, slots[name], call))
            yield

    @asynccontextmanager
    async def _leased(self, name: str, count: int, call: str) -> AsyncIterator[None]:
        lease = await self._granted(name, count, call)
        try:
            async with alongside(self._renewed(lease, name, call)):
                yield
        finally:
            await shielded(self._give_back(lease, name))

    async def _granted(self, name: str, count: int, call: str) -> UUID:
        began, told = asyncio.get_running_loop().time(), False
        async with self._asking[name]:
            while True:
                self._freed[name].clear()
                found = await self._ask(name, count)
                if isinstance(found, UUID):
                    return found
                if not told and asyncio.get_running_loop().time() - began > _TOLD_AFTER_S:
                    _logger.warning("%s waits for the concurrency limit %s of the Prefect server", call, name)
                    told = True
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(found, _LONGEST_PAUSE_S)):
                        await self._freed[name].wait()

    async def _ask(self, name: str, count: int) -> UUID | float:
        """Return the lease of slots, or after how many seconds to ask again where none are free."""
        asked = asyncio.ensure_future(self._asked(name, count))
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            await shielded(self._regret(asked, name))
            raise

    async def _asked(self, name: str, count: int) -> UUID | float:
        from prefect.client.schemas.objects import ConcurrencyLeaseHolder

        holder = ConcurrencyLeaseHolder(type="flow_run", id=UUID(self.run_id))
        with api_failures(f"The concurrency limit {name} cannot be asked for"):
            try:
                answer = await self._api.increment_concurrency_slots_with_lease(
                    names=[name], slots=count, mode="concurrency", lease_duration=LEASE_S, holder=holder
                )
            except httpx.HTTPStatusError as error:
                if error.response.status_code != HTTPStatus.LOCKED:
                    raise
                return float(error.response.headers.get("Retry-After", _LONGEST_PAUSE_S))
        return UUID(answer.json()["lease_id"])

    async def _regret(self, asked: "asyncio.Future[UUID | float]", name: str) -> None:
        """Let the server have back what it may grant to a call that was cancelled meanwhile."""
        await asyncio.wait([asked])
        if asked.exception() is None and isinstance(lease := asked.result(), UUID):
            await self._give_back(lease, name)

    async def _renewed(self, lease: UUID, name: str, call: str) -> None:
        """Keep a lease; a call whose lease cannot be kept goes on, since what it did would be lost."""
        while True:
            await asyncio.sleep(_RENEWAL_S)
            try:
                await self._api.renew_concurrency_lease(lease_id=lease, lease_duration=LEASE_S)
            except httpx.HTTPError as error:
                _logger.warning("%s goes on although it may have lost its slots of %s: %s", call, name, error)

    async def _give_back(self, lease: UUID, name: str) -> None:
        try:
            await self._api.release_concurrency_slots_with_lease(lease_id=lease)
        except httpx.HTTPError as error:
            _logger.warning("slots of %s come back after %d s, when their lease has ended: %s", name, LEASE_S, error)
        self._freed[name].set()

    @property
    def _api(self) -> "PrefectClient":
        assert self.client is not None  # noqa: S101 - nothing is held without
        return self.client
