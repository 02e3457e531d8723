"""Connections that do not lead into the network of this machine, for addresses that only a document names.

Where a name or a redirection leads is known once a connection is made: so it is looked at then, each time.
"""

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.request import getproxies

from cwl_prefect._lib.locations import host_of, is_inner

if TYPE_CHECKING:
    from aiohttp import AddrInfoType, ClientSession
    from aiohttp.abc import ResolveResult


class InnerAddressError(Exception):
    """A connection would lead to this machine, or into its network."""


@dataclass(frozen=True, slots=True)
class OuterClient:
    """Makes clients of HTTP that connect to addresses of the world, and to whatever address some hosts have.

    Attributes:
        hosts: Names and addresses of those.
    """

    hosts: tuple[str, ...]

    async def __call__(self, **options: object) -> "ClientSession":
        """Return a client, as file systems of fsspec ask for one."""
        from aiohttp import ClientSession, TCPConnector, ThreadedResolver

        hosts, allowed = frozenset(self.hosts), set(self.hosts)

        class Resolver(ThreadedResolver):
            """Notes the addresses of hosts that may have any."""

            async def resolve(
                self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
            ) -> "list[ResolveResult]":
                """Return the addresses of a name."""
                found = await super().resolve(host, port, family)
                if host.lower().rstrip(".") in hosts:
                    allowed.update(each["host"] for each in found)
                return found

        def opened(about: "AddrInfoType") -> socket.socket:
            """Return what is to be connected to an address."""
            family, kind, protocol, _, address = about
            if is_inner(str(address[0])) and address[0] not in allowed:
                raise InnerAddressError
            return socket.socket(family, kind, protocol)

        connector = TCPConnector(resolver=Resolver(), socket_factory=opened)
        return ClientSession(connector=connector, **options)  # type: ignore[arg-type]  # as fsspec gives them


_CLIENT: ContextVar[OuterClient | None] = ContextVar("cwl_prefect_outer_client", default=None)


@contextmanager
def outer_only(urls: Iterable[str]) -> Iterator[None]:
    """Let web addresses be read meanwhile that lead into the world, or to a host of these URLs; proxies are as ever."""
    hosts = {host_of(url).lower() for url in (*urls, *getproxies().values())}
    token = _CLIENT.set(OuterClient(tuple(sorted(hosts - {""}))))
    try:
        yield
    finally:
        _CLIENT.reset(token)


def outer_client() -> OuterClient | None:
    """Return what makes clients now; None: they connect to whatever they are told."""
    return _CLIENT.get()
