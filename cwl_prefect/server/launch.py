"""Start the process of the local server, with the settings that it is tuned by."""

import asyncio
import contextlib
import re
import secrets
import socket
import sys
from importlib.metadata import version
from pathlib import Path

from cwl_prefect._lib.own_files import open_private
from cwl_prefect.environment import environment
from cwl_prefect.errors import ServerError
from cwl_prefect.server.database import prepare_database
from cwl_prefect.server.guard import USER
from cwl_prefect.server.process import ALREADY_RUNNING, ORIGINS, SERVER_AUTH, ServerOptions
from cwl_prefect.server.state import ServerFiles, last_state
from cwl_prefect.settings import Settings

HOST = "127.0.0.1"
PREFECT_VERSION = version("prefect")
SERVER_MODULE = "cwl_prefect.server.process"
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
    "PREFECT_SERVER_METRICS_ENABLED": "true",
}
"""What makes Prefect's server keep up with a wide scatter, start fast, and tell Prometheus of its process."""

USERS_OWN = ("PREFECT_SERVER_API_", "PREFECT_SERVER_CORS_")
"""Beginnings of the variables by which a user may change the local server, as any server of Prefect."""

OURS = frozenset(
    {SERVER_AUTH, "PREFECT_SERVER_API_BASE_PATH", "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED"}  # forged: see guard
)
"""Those that are not taken as they are: our clients would not find the API, or not have its tokens."""


async def spawn(settings: Settings, files: ServerFiles) -> None:
    """Start a server process, which detaches at once.

    Raises:
        ServerError: It does not start.
    """
    listener = _listen_again(files) if settings.server_port is None else _listen(settings.server_port)
    with listener:
        port = int(listener.getsockname()[1])
        options = ServerOptions(
            directory=str(files.directory),
            host=HOST,
            port=port,
            descriptor=listener.fileno(),
            idle_s=settings.server_idle_s,
            prefect_version=PREFECT_VERSION,
        )
        try:
            prepare_database(files.database)
            if files.log.exists():
                files.log.replace(files.log.with_suffix(".log.1"))
            with open(files.log, "ab", opener=open_private) as log:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", SERVER_MODULE, options.encode()),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=files.directory,
                    env=server_environment(files, port, _auth(files)),
                    pass_fds=(listener.fileno(),),
                    start_new_session=True,
                )
        except OSError as exc:
            raise files_error(files, exc) from exc
        exit_status = await process.wait()  # it detaches at once
    if exit_status not in (0, ALREADY_RUNNING):
        raise start_error(files, f"The local Prefect server did not start: exit status {exit_status}.")


def _auth(files: ServerFiles) -> str | None:
    """Return what a new server is to demand: the user's choice, what a killed one did whose runs go on, or new."""
    chosen = environment().get(SERVER_AUTH)
    if chosen is not None:
        return chosen or None
    last = last_state(files)
    return last.auth if last is not None and last.auth is not None else f"{USER}:{secrets.token_urlsafe(24)}"


def server_environment(files: ServerFiles, port: int, auth: str | None) -> dict[str, str]:
    """Return the variables of a server process: nothing of the user's Prefect, but for what is about such servers."""
    inherited = {name: value for name, value in environment().items() if not name.startswith("PREFECT_")}
    chosen = {name: value for name, value in environment().items() if name.startswith(USERS_OWN) and name not in OURS}
    address = f"http://{HOST}:{port}"
    return {
        **inherited,
        **TUNING,
        ORIGINS: address,
        **chosen,
        **({} if auth is None else {SERVER_AUTH: auth}),
        "PREFECT_HOME": str(files.prefect_home),
        "PREFECT_PROFILES_PATH": str(files.prefect_home / "profiles.toml"),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{files.database}",
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_UI_API_URL": f"{address}/api",
        # In memory, by default, the slots of leases are lost for good when the server is killed.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PYTHONUNBUFFERED": "1",
    }


def _listen_again(files: ServerFiles) -> socket.socket:
    """Listen where the last server did, since people and runs look for it there, or else on a free port."""
    with contextlib.suppress(OSError, ValueError, ServerError):
        port = int(files.port.read_text())
        return _listen(port if 0 < port < 1 << 16 else None)
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


def files_error(files: ServerFiles, exc: OSError) -> ServerError:
    """Return the error that the server's directory cannot be used."""
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


def start_error(files: ServerFiles, message: str) -> ServerError:
    """Return the error that the server does not start, with the end of its log."""
    return ServerError(
        "\n    ".join([message, *_causes(files.log)]),
        hint=f"see {files.log}; raise CWL_PREFECT_SERVER_START_TIMEOUT_S on a slow machine; "
        f"if the database {files.database} is damaged, move it away.",
    )
