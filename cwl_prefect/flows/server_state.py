"""What is on disk about the local server: where its files are, and what they say."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from cwl_prefect.flows.file_lock import is_locked
from cwl_prefect.whole_file import write_whole


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """Where the local server of one home keeps its files."""

    directory: Path

    @property
    def pid(self) -> Path:
        """The server's process id; the server holds a lock on this file as long as it lives."""
        return self.directory / "server.pid"

    @property
    def state(self) -> Path:
        """Address and identity of the server, as JSON."""
        return self.directory / "server.json"

    @property
    def machine(self) -> Path:
        """Where the server runs, as JSON."""
        return self.directory / "machine.json"

    @property
    def log(self) -> Path:
        """What the server prints."""
        return self.directory / "server.log"

    @property
    def starting(self) -> Path:
        """Locked by whoever starts or stops the server."""
        return self.directory / "starting.lock"

    @property
    def lease(self) -> Path:
        """Locked, shared, by every run; locked by the server when it ends for want of runs."""
        return self.directory / "lease.lock"

    @property
    def prefect_home(self) -> Path:
        """Prefect's own directory, kept apart from the user's."""
        return self.directory / "prefect"

    @property
    def database(self) -> Path:
        """The SQLite database with the history of all runs."""
        return self.prefect_home / "prefect.db"

    def server_lives(self) -> bool:
        """Tell whether a server process exists; the lock makes reused process ids harmless."""
        return is_locked(self.pid)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """Address and identity of a running server."""

    pid: int
    host: str
    port: int
    started_at: float  # seconds since the epoch
    prefect_version: str
    idle_s: float

    @property
    def ui_url(self) -> str:
        """Where people look at runs."""
        return f"http://{self.host}:{self.port}"

    @property
    def api_url(self) -> str:
        """Where Prefect's client goes."""
        return f"{self.ui_url}/api"


def write_state(files: ServerFiles, state: ServerState) -> None:
    """Record a running server; readers see the old or the new record."""
    write_whole(files.state, json.dumps(asdict(state), indent=1).encode())


def read_state(files: ServerFiles) -> ServerState | None:
    """Give the record of the living server; None where there is no server or it has no record yet."""
    if not files.server_lives():
        return None
    try:
        return ServerState(**json.loads(files.state.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def last_port(files: ServerFiles) -> int | None:
    """Give the port of a server that was killed, or of one that lives; None where it was stopped, or there was none."""
    try:
        port = json.loads(files.state.read_text())["port"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return port if isinstance(port, int) else None
