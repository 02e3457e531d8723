"""Requests to a Docker engine: the border where what HTTP says becomes ours."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlencode

from pydantic import JsonValue, ValidationError

from cwl_prefect.backends.docker.address import Address
from cwl_prefect.backends.docker.descriptions import ANSWER
from cwl_prefect.backends.docker.errors import RefusedError, unreachable
from cwl_prefect.backends.docker.streams import BUFFER_BYTES, Attachment
from cwl_prefect.errors import BackendError

if TYPE_CHECKING:
    import httpx

Parameters: TypeAlias = Mapping[str, str]
Content: TypeAlias = bytes | AsyncIterator[bytes] | None

_IDLE = 4  # connections that are kept: a new one costs less than to look through many with each request
_LENGTH = re.compile(rb"^content-length:\s*(\d+)", re.IGNORECASE | re.MULTILINE)


class EngineApi:
    """The HTTP API of a Docker engine.

    Args:
        address: Where it listens.
        timeout_s: Seconds to wait for any answer that does not wait for something itself.
    """

    def __init__(self, address: Address, *, timeout_s: float) -> None:
        import httpx

        self._address = address
        self._timeout_s = timeout_s
        self._prefix = ""
        transport = httpx.AsyncHTTPTransport(
            uds=address.socket, verify=address.tls or False, limits=httpx.Limits(max_keepalive_connections=_IDLE)
        )
        scheme = "http" if address.tls is None else "https"
        self._http = httpx.AsyncClient(
            transport=transport,
            base_url=f"{scheme}://{address.host}:{address.port}",
        )

    def use_version(self, version: str) -> None:
        """Speak one version of the API from now on."""
        self._prefix = f"/v{version}"

    async def ask(
        self,
        method: str,
        path: str,
        *,
        params: Parameters | None = None,
        body: Mapping[str, object] | None = None,
        patient: bool = False,
    ) -> bytes:
        """Return the engine's whole answer.

        Args:
            method: ``GET``, ``POST`` or ``DELETE``.
            path: What is asked for, as ``/containers/json``.
            params: How.
            body: JSON that goes with it.
            patient: Whether the answer may take as long as it likes.

        Raises:
            RefusedError: The engine answers with an error.
            BackendError: It does not answer.
        """
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        async with self.stream(
            method, path, params=params, content=content, headers=headers, patient=patient
        ) as response:
            return await response.aread()

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        params: Parameters | None = None,
        content: Content = None,
        headers: Mapping[str, str] | None = None,
        patient: bool = True,
    ) -> AsyncIterator["httpx.Response"]:
        """Open an answer that is read while it comes; its errors are those of :meth:`ask`."""
        import httpx

        answer_s = None if patient else self._timeout_s
        timeout = httpx.Timeout(answer_s, connect=self._timeout_s, pool=None)
        try:
            async with self._http.stream(
                method, self._prefix + path, params=params, content=content, headers=headers, timeout=timeout
            ) as response:
                if not response.is_success:
                    raise RefusedError(response.status_code, _explanation(await response.aread()))
                yield response
        except httpx.HTTPError as exc:
            raise unreachable(exc, self._address.url) from exc

    async def follow(
        self, path: str, *, params: Parameters, content: Content = None, headers: Mapping[str, str] | None = None
    ) -> list[dict[str, JsonValue]]:
        """Do something that takes long, and return the lines of its progress, whose end is where errors are told.

        Raises:
            RefusedError: It failed.
            BackendError: The engine does not answer.
        """
        found, rest = [], b""
        async with self.stream("POST", path, params=params, content=content, headers=headers) as response:
            async for chunk in response.aiter_bytes():
                *lines, rest = (rest + chunk).split(b"\n")
                found += [_progress(line) for line in lines]
        return [*found, _progress(rest)]

    async def attach(self, path: str, *, params: Parameters) -> Attachment:
        """Take over a connection for the streams of a container.

        Raises:
            RefusedError: The engine answers with an error.
            BackendError: It does not answer, or input that ends is to be sent over TLS, which has no such end.
        """
        if self._address.tls is not None and params["stdin"] != "0":
            raise BackendError(
                f"a file cannot be the standard input of a container at {self._address.url}: TLS cannot end it",
                hint="reach the engine by its Unix socket or plain TCP, or give the tool the file by its path",
            )
        request = (
            f"POST {self._prefix}{path}?{urlencode(params)} HTTP/1.1\r\nHost: {self._address.host}\r\n"
            "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                reader, writer = await self._connect()
                writer.write(request.encode())
                head = await reader.readuntil(b"\r\n\r\n")
                status = int(head.split(None, 2)[1])
                if status in (101, 200):
                    return Attachment(reader, writer)
                length = _LENGTH.search(head)
                answer = await reader.readexactly(int(length[1])) if length else b""
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as exc:
            raise unreachable(exc, self._address.url) from exc
        writer.close()
        raise RefusedError(status, _explanation(answer))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._address.socket is not None:
            return await asyncio.open_unix_connection(self._address.socket, limit=BUFFER_BYTES)
        place = self._address
        return await asyncio.open_connection(place.host, place.port, ssl=place.tls, limit=BUFFER_BYTES)


def _progress(line: bytes) -> dict[str, JsonValue]:
    """Read a line of progress; one that says nothing is empty.

    Raises:
        RefusedError: It tells of an error.
    """
    try:
        told = ANSWER.validate_json(line)
    except ValidationError:
        return {}
    if "error" in told:
        raise RefusedError(200, str(told["error"]))
    return told


def _explanation(answer: bytes) -> str:
    try:
        return str(ANSWER.validate_json(answer)["message"])
    except (ValidationError, KeyError):
        return answer.decode(errors="replace").strip() or "it gives no reason"
