"""One call of the command line, on its way from the process that was called to the one that stands by."""

import json
import os
import signal
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass

STANDARD_STREAMS = (0, 1, 2)

READY = b"ready"
"""Says that a process waits for the call. Nothing is sent before: what nobody reads would hold streams open."""

PASSED_ON = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
"""Signals that end a call, and that it may have been started to ignore."""

CHANNEL = socket.SOCK_SEQPACKET
"""Each message arrives whole or not at all (unix(7))."""

_LARGEST = 4 * 1024 * 1024  # bytes; the kernel refuses to send as much


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What makes one call differ from another, besides its standard streams and its directory."""

    arguments: list[str]
    environment: dict[str, str]
    umask: int
    ignored: list[int]  # signals, as nohup and background jobs ignore them

    @classmethod
    def own(cls, arguments: list[str], environment: Mapping[str, str]) -> "Call":
        """Return the call that this process is."""
        umask = os.umask(0o077)
        os.umask(umask)
        ignored: list[int] = [number for number in PASSED_ON if signal.getsignal(number) == signal.SIG_IGN]
        return cls(arguments=arguments, environment=dict(environment), umask=umask, ignored=ignored)


def send_call(connection: socket.socket, call: Call) -> None:
    """Send a call with the standard streams and the current directory of this process.

    Raises:
        OSError: It was not sent: nobody is there, or it is too large.
    """
    directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        socket.send_fds(connection, [json.dumps(asdict(call)).encode()], [*STANDARD_STREAMS, directory])
    finally:
        os.close(directory)


def receive_call(connection: socket.socket) -> tuple[Call, list[int]]:
    """Receive a call, and descriptors of its standard streams and its directory.

    Raises:
        EOFError: The caller is gone.
    """
    message, descriptors, _, _ = socket.recv_fds(connection, _LARGEST, len(STANDARD_STREAMS) + 1)
    if len(descriptors) != len(STANDARD_STREAMS) + 1:
        raise EOFError
    return Call(**json.loads(message)), descriptors


def send_number(connection: socket.socket, number: int) -> None:
    """Send the number of a process, or how it ended."""
    connection.sendall(str(number).encode())


def receive_number(connection: socket.socket) -> int:
    """Receive what :func:`send_number` sent.

    Raises:
        EOFError: The sender is gone.
    """
    message = connection.recv(32)
    if not message:
        raise EOFError
    return int(message)
