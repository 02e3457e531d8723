"""The streams of a container: bytes from its stdout and stderr into files, and from a file into its stdin."""

import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol, cast

_HEADER = struct.Struct(">BxxxL")
_STDERR = 2
_BUFFER_BYTES = 1 << 18


class _Raw(Protocol):
    def close(self) -> None:
        """Give the connection back."""


class Attachment:
    """A connection to a container's streams, made before the container starts so that no byte is missed.

    Args:
        raw: What the Docker SDK gives for an upgraded connection: a socket, or a file around one.
    """

    def __init__(self, raw: _Raw) -> None:
        self._raw = raw  # the SDK ties the life of the connection to this object
        self._socket = cast("socket.socket", getattr(raw, "_sock", raw))
        self._socket.settimeout(None)

    def pump(self, stdout: int, stderr: int) -> None:
        """Write both streams to file descriptors until the container closes them, or the connection ends.

        Raises:
            OSError: A file cannot be written.
        """
        with self._socket.makefile("rb", buffering=_BUFFER_BYTES) as stream:
            while (header := _read(stream.read, _HEADER.size)) is not None:
                kind, length = _HEADER.unpack(header)
                payload = _read(stream.read, length)
                if payload is None:
                    return
                _write(stderr if kind == _STDERR else stdout, payload)

    def feed(self, source: Path) -> None:
        """Send a file and then the end of input; a container that does not read to the end is no error.

        Raises:
            OSError: The file cannot be read.
        """
        with source.open("rb") as file, suppress(ConnectionError):
            _send(self._socket, file)
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End the connection; whoever is pumping or feeding stops."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._raw.close()
        with suppress(OSError):
            self._socket.close()


def _read(read: Callable[[int], bytes], size: int) -> bytes | None:
    try:
        data = read(size)
    except (ConnectionError, ValueError):  # ValueError: closed from another thread
        return None
    return data if len(data) == size else None


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _send(connection: socket.socket, file: BinaryIO) -> None:
    while chunk := file.read(_BUFFER_BYTES):
        try:
            connection.sendall(chunk)
        except OSError as exc:
            raise ConnectionError(str(exc)) from exc
