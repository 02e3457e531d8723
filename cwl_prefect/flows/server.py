"""Where a run goes: the Prefect API that the user configured, else a local server that is started here.

The local server is one detached process per home directory, tuned for many short task runs, shared by all runs and
ended by itself when nobody has used it for a while. Whether it lives is told by a lock that it holds, so a crash leaves
nothing stale behind.
"""

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

from cwl_prefect.errors import ServerError
from cwl_prefect.flows.configured_api import configured_api_url
from cwl_prefect.flows.file_lock import FileLock, lock, try_lock
from cwl_prefect.flows.server_database import prepare_database
from cwl_prefect.flows.server_machine import demand_reachable, demand_signalable, out_of_reach
from cwl_prefect.flows.server_process import ALREADY_RUNNING, OUR_AGENT, ServerOptions
from cwl_prefect.flows.server_state import ServerFiles, ServerState, last_port, read_state
from cwl_prefect.settings import Settings, environment

HOST = "127.0.0.1"
SERVER_MODULE = "cwl_prefect.flows.server_process"
POLL_INTERVAL_S = 0.05
STOP_TIMEOUT_S = 10.0
CAUSE_LINES = 3

TUNING = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    # One transaction for many task runs; by default each is written alone, at three times the cost.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    # Block types are in the database from the start; looking for others imports every installed Prefect collection.
    "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
    "PREFECT_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
    "PREFECT__SERVER_FINAL": "1",
}
"""What makes Prefect's server keep up with a wide scatter, and start fast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiEndpoint:
    """Where a run is recorded."""

    url: str
    ui_url: str | None
    started: bool  # this call started it
    ours: bool  # a local server of cwl-prefect, not one that the user configured


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
    """Say where the local server of these settings keeps its files."""
    return ServerFiles(settings.home.absolute() / "server")


def configured_api() -> str | None:
    """Give the address of the Prefect API that the user configured, or None where runs use the local server."""
    return configured_api_url(environment(), Path.cwd())


def logs_path(settings: Settings) -> Path:
    """Say where the local server's log is, whether or not it exists."""
    return server_files(settings).log


async def ensure_api(settings: Settings) -> ApiEndpoint:
    """Give an API that answers: the configured one, or a local server, started where none is running.

    Raises:
        ServerError: The configured API does not answer, or the local server does not start.
    """
    configured = configured_api()
    if configured is None:
        return await start(settings)
    if not await _may_answer(configured):
        raise ServerError(
            f"The configured Prefect API {configured} does not answer.",
            hint="start that server, correct PREFECT_API_URL or the active Prefect profile, "
            "or unset it to use the local server of cwl-prefect.",
        )
    return ApiEndpoint(url=configured, ui_url=ui_address(configured), started=False, ours=False)


@asynccontextmanager
async def lease(settings: Settings) -> AsyncIterator[ApiEndpoint]:
    """Give a run an API that stays for as long as the run lasts.

    Raises:
        ServerError: The configured API does not answer, or the local server does not start.
    """
    if configured_api() is not None:
        yield await ensure_api(settings)
        return
    files = server_files(settings)
    held = await _lock(files, files.lease, settings.server_start_timeout_s, shared=True)
    try:
        yield await start(settings)
    finally:
        held.release()


async def start(settings: Settings) -> ApiEndpoint:
    """Give the local server, started where it is not running; callers at the same time share one.

    Raises:
        ServerError: The server does not start; the text holds the end of its log. Or it runs on another machine.
    """
    files = server_files(settings)
    demand_reachable(files)
    running = read_state(files)
    if running is not None and await _is_healthy(running, agent=OUR_AGENT) and _is_current(files, running):
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
    if not force and _in_use(files):
        raise ServerError("A run is using the local server.", hint="wait for it, or stop the server with --force.")
    await _end(files)
    return True


async def status(settings: Settings) -> ServerStatus:
    """Look at the local server without changing or keeping alive anything."""
    files = server_files(settings)
    state = read_state(files)
    return ServerStatus(
        running=files.server_lives(),
        healthy=state is not None and out_of_reach(files) is None and await _is_healthy(state),
        in_use=_in_use(files),
        state=state,
        log=files.log,
        database=files.database,
        out_of_reach=out_of_reach(files),
    )


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
        demand_reachable(files)
        state = read_state(files)
        if state is not None and not spawned and not _is_current(files, state):
            await _end(files)
            continue
        if state is not None and await _is_healthy(state, agent=OUR_AGENT):
            return _endpoint(state, started=spawned)
        if not files.server_lives():
            if spawned:
                raise _start_error(files, "The local Prefect server ended while it was starting.")
            await _spawn(settings, files)
            spawned = True
        await asyncio.sleep(POLL_INTERVAL_S)
    raise _start_error(
        files, f"The local Prefect server did not answer in {settings.server_start_timeout_s:g} seconds."
    )


async def _spawn(settings: Settings, files: ServerFiles) -> None:
    listener = _listen_again(files) if settings.server_port is None else _listen(settings.server_port)
    with listener:
        port = int(listener.getsockname()[1])
        options = ServerOptions(
            directory=str(files.directory),
            host=HOST,
            port=port,
            descriptor=listener.fileno(),
            idle_s=settings.server_idle_s,
            prefect_version=version("prefect"),
        )
        try:
            prepare_database(files.database)
            if files.log.exists():
                files.log.replace(files.log.with_suffix(".log.1"))
            with files.log.open("ab") as log:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", SERVER_MODULE, options.encode()),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=files.directory,
                    env=_server_environment(files, port),
                    pass_fds=(listener.fileno(),),
                    start_new_session=True,
                )
        except OSError as exc:
            raise _files_error(files, exc) from exc
        exit_status = await process.wait()  # it detaches at once
    if exit_status not in (0, ALREADY_RUNNING):
        raise _start_error(files, f"The local Prefect server did not start: exit status {exit_status}.")


def _server_environment(files: ServerFiles, port: int) -> dict[str, str]:
    inherited = {name: value for name, value in environment().items() if not name.startswith("PREFECT_")}
    address = f"http://{HOST}:{port}"
    return {
        **inherited,
        **TUNING,
        "PREFECT_HOME": str(files.prefect_home),
        "PREFECT_PROFILES_PATH": str(files.prefect_home / "profiles.toml"),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{files.database}",
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_UI_API_URL": f"{address}/api",
        "PYTHONUNBUFFERED": "1",
    }


def _listen_again(files: ServerFiles) -> socket.socket:
    """Listen where a server was that was killed, since runs still look for it there, or else on a free port."""
    port = last_port(files)
    if port is not None:
        with contextlib.suppress(ServerError):
            return _listen(port)
    return _listen(None)


def _listen(port: int | None) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port or 0))
    except OSError as exc:
        listener.close()
        raise ServerError(
            f"The local server cannot listen on port {port}: {exc.strerror}.",
            hint="set CWL_PREFECT_SERVER_PORT to a free port, or unset it.",
        ) from exc
    return listener


async def _end(files: ServerFiles) -> None:
    demand_signalable(files)
    for number, patience_s in ((signal.SIGTERM, STOP_TIMEOUT_S), (signal.SIGKILL, STOP_TIMEOUT_S)):
        pid = _server_pid(files)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = monotonic() + patience_s
        while monotonic() < deadline:
            if not files.server_lives():
                files.state.unlink(missing_ok=True)
                return
            await asyncio.sleep(POLL_INTERVAL_S)
    raise ServerError(
        f"The local server does not end: process {_server_pid(files)}.", hint="end that process yourself."
    )


def _server_pid(files: ServerFiles) -> int | None:
    try:
        pid = int(files.pid.read_text())
    except (OSError, ValueError):
        return None
    return pid if files.server_lives() else None


def _in_use(files: ServerFiles) -> bool:
    if not files.lease.exists():
        return False
    unused = try_lock(files.lease)
    if unused is None:
        return True
    unused.release()
    return False


def _is_current(files: ServerFiles, state: ServerState) -> bool:
    """Another Prefect's server is used while others use it, and replaced by ours otherwise."""
    return state.prefect_version == version("prefect") or _in_use(files)


def _endpoint(state: ServerState, *, started: bool) -> ApiEndpoint:
    return ApiEndpoint(url=state.api_url, ui_url=state.ui_url, started=started, ours=True)


async def _is_healthy(state: ServerState, *, agent: str = "") -> bool:
    return await asyncio.to_thread(_get, state.host, state.port, "/api/health", agent) == 200


async def _may_answer(api_url: str) -> bool:
    parts = urlsplit(api_url)
    if parts.scheme != "http" or parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        return True  # proxies and certificates are Prefect's business
    return await asyncio.to_thread(_get, parts.hostname, parts.port or 80, f"{parts.path}/health", "") is not None


def _get(host: str, port: int, path: str, agent: str) -> int | None:
    from http.client import HTTPConnection, HTTPException

    connection = HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path, headers={"User-Agent": agent} if agent else {})
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


async def _lock(files: ServerFiles, path: Path, timeout_s: float, *, shared: bool = False) -> FileLock:
    try:
        held = await lock(path, timeout_s=timeout_s, shared=shared)
    except OSError as exc:
        raise _files_error(files, exc) from exc
    if held is None:
        raise ServerError(
            f"Another process has been starting or stopping the local server for {timeout_s:g} seconds.",
            hint=f"look at {files.log}, and end the process that holds {path}.",
        )
    return held


def _files_error(files: ServerFiles, exc: OSError) -> ServerError:
    return ServerError(
        f"The local server cannot use {files.directory}: {exc.strerror or exc}.",
        hint="set CWL_PREFECT_HOME to a directory that you can write to.",
    )


def _causes(log: Path) -> list[str]:
    """Exceptions in the log without their tracebacks, else its last lines."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return []
    exceptions = [line for line in lines if re.match(r"[\w.]+(Error|Exception): ", line)]
    return (exceptions or lines)[-CAUSE_LINES:]


def _start_error(files: ServerFiles, message: str) -> ServerError:
    return ServerError(
        "\n    ".join([message, *_causes(files.log)]),
        hint=f"see {files.log}; raise CWL_PREFECT_SERVER_START_TIMEOUT_S on a slow machine; "
        f"if the database {files.database} is damaged, move it away.",
    )
