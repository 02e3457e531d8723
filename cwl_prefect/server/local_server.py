"""Where a run goes: the Prefect API that the user configured, else a local server that is started here.

The local server is one detached process per home directory, tuned for many short task runs, shared by all runs and
ended by itself when nobody has used it for a while. Whether it lives is told by a lock that it holds, so a crash leaves
nothing stale behind.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

from cwl_prefect._lib.file_lock import FileLock, is_locked, lock
from cwl_prefect.environment import environment
from cwl_prefect.errors import ServerError
from cwl_prefect.server.client import OUR_AGENT, LocalApi, health
from cwl_prefect.server.configured_api import configured_api_url, file_of_api
from cwl_prefect.server.guard import OPEN, USER
from cwl_prefect.server.launch import PREFECT_VERSION, files_error, spawn, start_error
from cwl_prefect.server.machine import Machine
from cwl_prefect.server.state import ServerFiles, ServerState, forget, read_state
from cwl_prefect.settings import Settings

_logger = logging.getLogger(__name__)

POLL_INTERVAL_S = 0.05
STOP_TIMEOUT_S = 10.0
_ELSEWHERE_HINT = (
    "give this machine or container a home of its own by CWL_PREFECT_HOME, name a Prefect API that both reach by "
    "PREFECT_API_URL, or run `cwl-prefect server stop` where the server runs."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiEndpoint:
    """Where a run is recorded."""

    url: str
    ui_url: str | None
    started: bool  # this call started it
    ours: bool  # a local server of cwl-prefect, not one that the user configured
    auth: str | None = field(default=None, repr=False)  # what the local server demands, as user and secret

    def opened(self, address: str) -> str:
        """Return where a browser opens a page of the UI logged in; the address itself where it need not be, or cannot.

        It holds the server's secret: it is for the terminal of the server's user alone.
        """
        user, _, secret = (self.auth or "").partition(":")
        if user != USER or self.ui_url is None or not address.startswith(self.ui_url):
            return address
        return f"{self.ui_url}{OPEN}/{address.removeprefix(self.ui_url).lstrip('/')}#{secret}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """What can be said about the local server."""

    running: bool  # the process lives
    healthy: bool  # it answers
    in_use: bool  # a run holds a lease
    state: ServerState | None
    log: Path
    database: Path
    out_of_reach: str | None = None  # where it runs, if its address means nothing here


def server_files(settings: Settings) -> ServerFiles:
    """Return where the local server of these settings keeps its files."""
    return ServerFiles(settings.home.absolute() / "server")


def configured_api() -> str | None:
    """Return the address of the Prefect API that the user configured, or None where runs use the local server."""
    return configured_api_url(environment(), Path.cwd())


def logs_path(settings: Settings) -> Path:
    """Return where the local server's log is, whether or not it exists."""
    return server_files(settings).log


async def ensure_api(settings: Settings) -> ApiEndpoint:
    """Return an API that answers: the configured one, or a local server, started where none is running.

    Raises:
        ServerError: The configured API does not answer, or the local server does not start.
    """
    configured = configured_api()
    if configured is None:
        return await start(settings)
    source = file_of_api(environment(), Path.cwd())
    if source is not None:
        _logger.warning("The Prefect API is %s, as %s says.", configured, source)
    if not await _may_answer(configured):
        raise ServerError(
            f"The configured Prefect API {configured} does not answer.",
            hint="start that server, correct PREFECT_API_URL or the active Prefect profile, "
            "or unset it to use the local server of cwl-prefect.",
        )
    return ApiEndpoint(url=configured, ui_url=ui_address(configured), started=False, ours=False)


@asynccontextmanager
async def lease(settings: Settings) -> AsyncIterator[ApiEndpoint]:
    """Return a run an API that stays for as long as the run lasts.

    Raises:
        ServerError: The configured API does not answer, or the local server does not start.
    """
    if configured_api() is not None:
        yield await ensure_api(settings)
        return
    files = server_files(settings)
    with await _lock(files, files.lease, settings.server_start_timeout_s, shared=True):
        yield await start(settings)


async def start(settings: Settings) -> ApiEndpoint:
    """Return the local server, started where it is not running; callers at the same time share one.

    Raises:
        ServerError: The server does not start; the text holds the end of its log. Or it runs on another machine.
    """
    files = server_files(settings)
    running = _reachable_state(files)
    if running is not None and await _answers(running) and _is_current(files, running):
        return _endpoint(running, started=False)
    deadline = monotonic() + settings.server_start_timeout_s
    starting = await _lock(files, files.starting, settings.server_start_timeout_s)
    try:
        return await _start_alone(settings, files, deadline)
    finally:
        starting.release()


async def stop(settings: Settings, *, force: bool = False) -> bool:
    """End the local server, and tell whether there was one.

    Args:
        settings: Whose home says which server.
        force: End it although a run is using it.

    Raises:
        ServerError: A run is using it, it cannot be ended, or it runs on another machine.
    """
    files = server_files(settings)
    if not files.server_lives():
        return False
    if not force and is_locked(files.lease):
        raise ServerError("A run is using the local server.", hint="wait for it, or stop the server with --force.")
    await _end(files)
    return True


async def status(settings: Settings) -> ServerStatus:
    """Look at the local server without changing or keeping alive anything."""
    files = server_files(settings)
    state = read_state(files)
    elsewhere = None if state is None else _out_of_reach(files, state)
    return ServerStatus(
        running=files.server_lives(),
        healthy=state is not None and elsewhere is None and await LocalApi(url=state.api_url).is_healthy(),
        in_use=is_locked(files.lease),
        state=state,
        log=files.log,
        database=files.database,
        out_of_reach=elsewhere,
    )


def open_address(settings: Settings, address: str) -> str:
    """Return where a browser opens a page logged in, where it is of the local server; the address itself else.

    It is for the terminal of the server's user alone.
    """
    state = read_state(server_files(settings))
    return address if state is None else _endpoint(state, started=False).opened(address)


async def open_url(settings: Settings) -> str:
    """Return where a browser opens the UI of the API that runs use; of the local server logged in.

    It is for the local server's user alone.

    Raises:
        ServerError: No local server answers, or it runs on another machine.
    """
    configured = configured_api()
    if configured is not None:
        return open_address(settings, ui_address(configured) or configured)
    state = _reachable_state(server_files(settings))
    if state is None or not await _answers(state):
        raise ServerError("No local server is running.", hint="start it: `cwl-prefect server start`.")
    return _endpoint(state, started=False).opened(state.ui_url)


def ui_address(api_url: str) -> str | None:
    """Guess where people look at an API's runs: beside the API of a server, or at Prefect Cloud's own address."""
    parts = urlsplit(api_url)
    segments = [segment for segment in parts.path.split("/") if segment]
    match segments:
        case ["api", "accounts", account, "workspaces", workspace] if parts.hostname == "api.prefect.cloud":
            return f"https://app.prefect.cloud/account/{account}/workspace/{workspace}"
        case [*base, "api"]:
            return "/".join([f"{parts.scheme}://{parts.netloc}", *base])
        case _:
            return None


async def _start_alone(settings: Settings, files: ServerFiles, deadline: float) -> ApiEndpoint:
    spawned = False
    while monotonic() < deadline:
        state = _reachable_state(files)
        if state is not None and not spawned and not _is_current(files, state):
            await _end(files)
            continue
        if state is not None and await _answers(state):
            return _endpoint(state, started=spawned)
        if not files.server_lives():
            if spawned:
                raise start_error(files, "The local Prefect server ended while it was starting.")
            await spawn(settings, files)
            spawned = True
        await asyncio.sleep(POLL_INTERVAL_S)
    raise start_error(files, f"The local Prefect server did not answer in {settings.server_start_timeout_s:g} seconds.")


async def _end(files: ServerFiles) -> None:
    state = read_state(files)
    if state is not None and not Machine.own().signals(state.machine):
        raise ServerError(f"{_whereabouts(files, state)}, and cannot be ended from here.", hint=_ELSEWHERE_HINT)
    for number, patience_s in ((signal.SIGTERM, STOP_TIMEOUT_S), (signal.SIGKILL, STOP_TIMEOUT_S)):
        if state is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(state.pid, number)
        deadline = monotonic() + patience_s
        while monotonic() < deadline:
            if not files.server_lives():
                forget(files)
                return
            await asyncio.sleep(POLL_INTERVAL_S)
            state = state or read_state(files)  # it may have been starting
    raise ServerError(
        f"The local server does not end: process {state and state.pid}.", hint="end that process yourself."
    )


def _reachable_state(files: ServerFiles) -> ServerState | None:
    """Return the record of the living server.

    Raises:
        ServerError: It runs where this process cannot reach it; the text names the machine.
    """
    state = read_state(files)
    said = None if state is None else _out_of_reach(files, state)
    if said is not None:
        raise ServerError(f"{said}, and cannot be reached from here.", hint=_ELSEWHERE_HINT)
    return state


def _out_of_reach(files: ServerFiles, state: ServerState) -> str | None:
    return None if Machine.own().reaches(state.machine) else _whereabouts(files, state)


def _whereabouts(files: ServerFiles, state: ServerState) -> str:
    return f"The local server of {files.directory.parent} runs on {Machine.own().describe(state.machine)}"


def _is_current(files: ServerFiles, state: ServerState) -> bool:
    """Another Prefect's server is used while others use it, and replaced by ours otherwise."""
    return state.prefect_version == PREFECT_VERSION or is_locked(files.lease)


def _endpoint(state: ServerState, *, started: bool) -> ApiEndpoint:
    return ApiEndpoint(url=state.api_url, ui_url=state.ui_url, started=started, ours=True, auth=state.auth)


async def _answers(state: ServerState) -> bool:
    """Check whether a server answers; this is a use of it, so that it does not end at once."""
    return await LocalApi(url=state.api_url).is_healthy(agent=OUR_AGENT)


async def _may_answer(api_url: str) -> bool:
    parts = urlsplit(api_url)
    if parts.scheme != "http" or parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        return True  # proxies and certificates are Prefect's business
    return await health(api_url) is not None


async def _lock(files: ServerFiles, path: Path, timeout_s: float, *, shared: bool = False) -> FileLock:
    try:
        held = await lock(path, timeout_s=timeout_s, shared=shared)
    except OSError as exc:
        raise files_error(files, exc) from exc
    if held is None:
        raise ServerError(
            f"Another process has been starting or stopping the local server for {timeout_s:g} seconds.",
            hint=f"look at {files.log}, and end the process that holds {path}.",
        )
    return held
