"""A door to the API server that tests can shut."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import yaml


class Door:
    """Passes connections on to a server, unless it is shut; shutting it ends those that are open.

    Attributes:
        port: Its own.
        passed: How many connections came.
        pieces: How many pieces of what they said.
    """

    def __init__(self, host: str, port: int, address: str = "127.0.0.1") -> None:
        self._target = (host, port)
        self._address = address
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.passed = 0
        self.pieces = 0

    async def open(self) -> None:
        """Let connections through."""
        self._server = await asyncio.start_server(self._pass, self._address, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """End every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
        self.cut()

    def cut(self) -> None:
        """End every connection that is open now."""
        for writer in self._open:
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.passed += 1
        with suppress(OSError, asyncio.IncompleteReadError):
            inner_reader, inner_writer = await asyncio.open_connection(*self._target)
            self._open |= {writer, inner_writer}
            try:
                await asyncio.gather(_copy(reader, inner_writer, self._count), _copy(inner_reader, writer))
            finally:
                self._open -= {writer, inner_writer}
                writer.close()
                inner_writer.close()

    def _count(self) -> None:
        self.pieces += 1


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tell: Callable[[], None] = lambda: None
) -> None:
    with suppress(OSError):
        while piece := await reader.read(65536):
            tell()
            writer.write(piece)
            await writer.drain()
    writer.close()


def through(kubeconfig: Path, copy: Path, port: int) -> tuple[str, int]:
    """Write a kubeconfig whose server is behind a port of this machine; give the server's own address."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    host, _, own_port = cluster["server"].removeprefix("https://").partition(":")
    cluster["server"] = f"https://127.0.0.1:{port}"
    cluster["tls-server-name"] = host
    copy.write_text(yaml.safe_dump(config))
    return host, int(own_port or 443)
