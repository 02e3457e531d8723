"""The local server's own process: Prefect's API and UI, and the watch that ends it when nobody needs it.

Run as ``python -P -m cwl_prefect.flows.server_process '<json>'`` with the listening socket inherited; see
:mod:`cwl_prefect.flows.server`. It detaches itself from its starter, and holds a lock on its pid file while it lives.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeAlias

from cwl_prefect.flows.alongside import alongside
from cwl_prefect.flows.file_lock import FileLock, lock, try_lock
from cwl_prefect.flows.server_machine import write_machine
from cwl_prefect.flows.server_recovery import recovered
from cwl_prefect.flows.server_state import ServerFiles, ServerState, write_state

ALREADY_RUNNING = 3
"""Exit status of a process that found another server."""

OUR_AGENT = "cwl-prefect"
"""How our own probes introduce themselves."""

Scope: TypeAlias = MutableMapping[str, object]
Message: TypeAlias = MutableMapping[str, object]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """What a starter tells the server process."""

    directory: str
    host: str
    port: int
    descriptor: int  # of the listening socket
    idle_s: float  # 0: never ends by itself
    prefect_version: str

    def encode(self) -> str:
        """Write the options as one command-line argument."""
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, text: str) -> "ServerOptions":
        """Read the options back."""
        return cls(**json.loads(text))


@dataclass(slots=True)
class Activity:
    """An application that notes when Prefect clients last used the one it wraps; browsers showing the UI do not count.

    A run keeps a connection to ``/events/in`` open from start to end, also one that holds no lease because another
    program started it.
    """

    application: Application
    streams: int = 0
    last_used: float = field(default_factory=time.monotonic)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one connection on."""
        if scope["type"] == "http" and _agent(scope).startswith(("prefect", OUR_AGENT)):
            self.last_used = time.monotonic()
        if scope["type"] != "websocket" or not str(scope["path"]).endswith("/events/in"):
            await self.application(scope, receive, send)
            return
        self.streams += 1
        try:
            await self.application(scope, receive, send)
        finally:
            self.streams -= 1
            self.last_used = time.monotonic()

    def idle_s(self) -> float:
        """Seconds since the last use; 0 while a run is connected."""
        return 0.0 if self.streams else time.monotonic() - self.last_used


def _agent(scope: Scope) -> str:
    headers = scope.get("headers")
    if not isinstance(headers, list):
        return ""
    return next((value.decode("latin-1") for name, value in headers if name == b"user-agent"), "")


async def until_idle(activity: Activity, lease: Path, idle_s: float) -> FileLock:
    """Wait until no client has used the server for ``idle_s`` seconds and no run holds a lease.

    The lease file comes back locked: a run that begins now waits until this process is gone, then starts a server of
    its own.
    """
    while True:
        await asyncio.sleep(min(max(idle_s - activity.idle_s(), 0.05), 15.0))
        if activity.idle_s() < idle_s:
            continue
        closing = try_lock(lease)
        if closing is not None:
            return closing
        activity.last_used = time.monotonic()


async def serve(options: ServerOptions, files: ServerFiles, *, after_kill: bool = False) -> None:
    """Serve Prefect's API and UI until a signal comes or nobody uses them any more.

    Args:
        options: What the starter told.
        files: Where the server's files are.
        after_kill: Whether the server before this one was killed, and had perhaps not written down all that it knew.
    """
    api = f"http://{options.host}:{options.port}/api/"
    async with alongside(recovered(api)) if after_kill else contextlib.nullcontext():
        await _serve(options, files)


async def _serve(options: ServerOptions, files: ServerFiles) -> None:
    import uvicorn
    from prefect.server.api.server import create_app

    activity = Activity(create_app(final=True))
    config = uvicorn.Config(
        activity,
        log_config=None,
        access_log=False,
        log_level="warning",
        lifespan="on",
        timeout_graceful_shutdown=3,
    )
    server = uvicorn.Server(config)
    listener = socket.socket(fileno=options.descriptor)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    if not options.idle_s:
        await serving
        return
    watching = asyncio.create_task(until_idle(activity, files.lease, options.idle_s))
    await asyncio.wait({serving, watching}, return_when=asyncio.FIRST_COMPLETED)
    if watching.done():
        print(f"No run for {options.idle_s:g} seconds: the server ends.", file=sys.stderr)  # noqa: T201  # its log
        files.state.unlink(missing_ok=True)
        server.should_exit = True
    watching.cancel()
    await serving


def main() -> int:
    """Detach from the starter and serve; the starter's child ends as soon as the server holds its lock."""
    options = ServerOptions.decode(sys.argv[1])
    files = ServerFiles(Path(options.directory))
    held = asyncio.run(lock(files.pid, timeout_s=1.0))  # someone who only looks holds it for a moment
    if held is None:
        return ALREADY_RUNNING
    after_kill = files.state.exists()  # a server that ends otherwise takes its record away
    files.state.unlink(missing_ok=True)
    if os.fork():
        os._exit(0)  # the server lives on, as nobody's child: no starter has to reap it
    held.write("")  # nobody is to take an earlier server's for this one's
    write_machine(files, os.getpid())
    held.write(f"{os.getpid()}\n")
    write_state(
        files,
        ServerState(
            pid=os.getpid(),
            host=options.host,
            port=options.port,
            started_at=time.time(),
            prefect_version=options.prefect_version,
            idle_s=options.idle_s,
        ),
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(options, files, after_kill=after_kill))
    files.state.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
