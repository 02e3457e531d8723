"""The local server's own process: Prefect's API and UI, and the watch that ends it when nobody needs it.

Run as ``python -P -m cwl_prefect.server.process '<json>'`` with the listening socket inherited; see
:mod:`cwl_prefect.server.local_server`. It detaches itself from its starter, and holds a lock on its record while it
lives.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cwl_prefect._lib.background import alongside
from cwl_prefect._lib.file_lock import FileLock, lock, try_lock
from cwl_prefect.environment import environment
from cwl_prefect.server.client import OUR_AGENT, LocalApi
from cwl_prefect.server.closing import close_after_kill
from cwl_prefect.server.guard import Application, Guard, Receive, Scope, Send, header
from cwl_prefect.server.state import ServerFiles, ServerState, last_state

ALREADY_RUNNING = 3
"""Exit status of a process that found another server."""


SERVER_AUTH = "PREFECT_SERVER_API_AUTH_STRING"
"""Variable of what the server demands: an argument would be seen in the list of processes."""

ORIGINS = "PREFECT_SERVER_CORS_ALLOWED_ORIGINS"


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
        if scope["type"] == "http" and header(scope, b"user-agent").startswith(("prefect", OUR_AGENT)):
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
    api = LocalApi(url=f"http://{options.host}:{options.port}/api", auth=environment().get(SERVER_AUTH))
    async with alongside(close_after_kill(api.post)) if after_kill else contextlib.nullcontext():
        await _serve(options, files)


async def _serve(options: ServerOptions, files: ServerFiles) -> None:
    import uvicorn
    from prefect.server.api.server import create_app

    activity = Activity(create_app(final=True))
    origins = frozenset(environment().get(ORIGINS, "").split(",")) - {""}
    config = uvicorn.Config(
        Guard(activity, origins),
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
        files.record.write_text("")
        server.should_exit = True
    watching.cancel()
    await serving


def main() -> int:
    """Detach from the starter and serve; the starter's child ends as soon as the server holds its lock."""
    options = ServerOptions.decode(sys.argv[1])
    files = ServerFiles(Path(options.directory))
    held = asyncio.run(lock(files.record, timeout_s=1.0))  # someone who only looks holds it for a moment
    if held is None:
        return ALREADY_RUNNING
    after_kill = last_state(files) is not None  # a server that ends otherwise empties its record
    held.write("")  # nobody is to take an earlier server's for this one's
    if os.fork():
        os._exit(0)  # the server lives on, as nobody's child: no starter has to reap it
    os.umask(0o077)  # what is recorded is for its user alone
    state = ServerState(
        pid=os.getpid(),
        host=options.host,
        port=options.port,
        started_at=time.time(),
        prefect_version=options.prefect_version,
        idle_s=options.idle_s,
        auth=environment().get(SERVER_AUTH),
    )
    files.port.write_text(str(state.port))
    held.write(state.encode())
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(options, files, after_kill=after_kill))
    held.write("")
    return 0


if __name__ == "__main__":
    sys.exit(main())
