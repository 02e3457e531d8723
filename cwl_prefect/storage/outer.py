"""Connections that do not lead into the network of this machine, for addresses that only a document names.

Where a name or a redirection leads is known once a connection is made: so it is looked at then, each time.
"""

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cwl_prefect._lib.locations import host_of, is_inner, is_web, scheme_of

if TYPE_CHECKING:
    from aiohttp import AddrInfoType, ClientSession
    from aiohttp.abc import ResolveResult
    from requests import Session


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


def hosts_of(urls: Iterable[str]) -> frozenset[str]:
    """Return the hosts of those URLs that are web addresses or objects of DRS, as whoever connects names them."""
    return frozenset(host_of(url).lower() for url in urls if is_web(url) or scheme_of(url) == "drs") - {""}


@contextmanager
def outer_only(urls: Iterable[str]) -> Iterator[None]:
    """Let web addresses be read meanwhile that lead into the world, or to a host of these URLs; proxies are as ever.

    Within another such time, a host has to be one of both.
    """
    from urllib.request import getproxies

    before = _CLIENT.get()
    hosts = hosts_of(urls) | {host_of(url).lower() for url in getproxies().values()} - {""}
    token = _CLIENT.set(OuterClient(tuple(sorted(hosts if before is None else hosts & set(before.hosts)))))
    try:
        yield
    finally:
        _CLIENT.reset(token)


def keep_outer(session: "Session", may: Callable[[str], bool]) -> None:
    """Let a session of requests connect to addresses of the world, and to whatever address some hosts have.

    Nothing is sent before it is known where a connection leads. Proxies are as ever.

    Args:
        session: The session.
        may: Whether a host may have any address.
    """
    from requests.adapters import HTTPAdapter
    from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.connection import HTTPConnection, HTTPSConnection

    def demanded(found: socket.socket, host: str) -> socket.socket:
        """Return a connection that leads where it may."""
        if is_inner(str(found.getpeername()[0])) and not may(host.lower().rstrip(".")):
            found.close()
            raise InnerAddressError
        return found

    class Plain(HTTPConnection):
        """Looks where it leads."""

        def _new_conn(self) -> socket.socket:
            return demanded(super()._new_conn(), self.host)

    class Secure(HTTPSConnection):
        """Looks where it leads, before it says anything."""

        def _new_conn(self) -> socket.socket:
            return demanded(super()._new_conn(), self.host)

    pools = {
        "http": type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": Plain}),
        "https": type("SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": Secure}),
    }
    for adapter in session.adapters.values():
        if isinstance(adapter, HTTPAdapter):
            adapter.poolmanager.pool_classes_by_scheme = pools


def outer_client() -> OuterClient | None:
    """Return what makes clients now; None: they connect to whatever they are told."""
    return _CLIENT.get()
