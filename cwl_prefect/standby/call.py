"""One call of the command line, on its way from the process that was called to the one that stands by."""

import json
import os
import signal
import socket
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from cwl_prefect.standby.circumstances import OF_ONE_CALL
from cwl_prefect.standby.place import STANDARD_STREAMS

READY = b"r"
"""Says that a process waits for the call. Nothing is sent before: what nobody reads would hold streams open."""

PASSED_ON = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
"""Signals that end a call, and that it may have been started to ignore."""

_LENGTH = struct.Struct("!Q")
_NUMBER = struct.Struct("!q")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What makes one call differ from another in the same circumstances, besides its standard streams."""

    arguments: list[str]
    environment: dict[str, str]  # those of OF_ONE_CALL that are set
    umask: int
    ignored: list[int]  # signals, as nohup and background jobs ignore them

    @classmethod
    def own(cls, arguments: list[str], environment: Mapping[str, str]) -> "Call":
        """Give the call that this process is."""
        umask = os.umask(0o077)
        os.umask(umask)
        return cls(
            arguments=arguments,
            environment={name: environment[name] for name in OF_ONE_CALL if name in environment},
            umask=umask,
            ignored=[number for number in PASSED_ON if signal.getsignal(number) == signal.SIG_IGN],
        )


def send_call(connection: socket.socket, call: Call) -> None:
    """Send a call with the standard streams and the current directory of this process."""
    directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        message = json.dumps(asdict(call)).encode()
        socket.send_fds(connection, [_LENGTH.pack(len(message))], [*STANDARD_STREAMS, directory])
        connection.sendall(message)
    finally:
        os.close(directory)


def receive_call(connection: socket.socket) -> tuple[Call, list[int]]:
    """Receive a call, and descriptors of its standard streams and its directory.

    Raises:
        EOFError: The caller is gone.
    """
    length, descriptors, _, _ = socket.recv_fds(connection, _LENGTH.size, len(STANDARD_STREAMS) + 1)
    if len(length) < _LENGTH.size or len(descriptors) != len(STANDARD_STREAMS) + 1:
        raise EOFError
    return Call(**json.loads(_receive(connection, _LENGTH.unpack(length)[0]))), descriptors


def send_number(connection: socket.socket, number: int) -> None:
    """Send the number of a process, or how it ended."""
    connection.sendall(_NUMBER.pack(number))


def receive_number(connection: socket.socket) -> int:
    """Receive what :func:`send_number` sent.

    Raises:
        EOFError: The sender is gone.
    """
    number: int = _NUMBER.unpack(_receive(connection, _NUMBER.size))[0]
    return number


def _receive(connection: socket.socket, length: int) -> bytes:
    received = bytearray()
    while len(received) < length:
        more = connection.recv(length - len(received))
        if not more:
            raise EOFError
        received += more
    return bytes(received)
