"""What is on disk about the local server: where its files are, and what they say."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cwl_prefect._lib.file_lock import FileLock, is_locked, try_lock
from cwl_prefect.server.machine import Machine


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """Where the local server of one home keeps its files."""

    directory: Path

    @property
    def record(self) -> Path:
        """Address and identity of the server, as JSON; the server holds a lock on this file as long as it lives.

        It is empty where there is no server, and says where one was that was killed.
        """
        return self.directory / "server.json"

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
    def port(self) -> Path:
        """Holds the port of the last server, however it ended, where the next one is to be found too."""
        return self.directory / "port"

    @property
    def prefect_home(self) -> Path:
        """Prefect's own directory, kept apart from the user's."""
        return self.directory / "prefect"

    @property
    def database(self) -> Path:
        """The SQLite database with the history of all runs."""
        return self.prefect_home / "prefect.db"

    def server_lives(self) -> bool:
        """Check whether a server process exists; the lock makes reused process ids harmless."""
        return is_locked(self.record)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """Address and identity of a server."""

    pid: int
    host: str
    port: int
    started_at: float  # seconds since the epoch
    prefect_version: str
    idle_s: float
    machine: Machine = field(default_factory=Machine.own)
    auth: str | None = field(default=None, repr=False)  # what it demands, as user and secret; None: nothing

    @property
    def ui_url(self) -> str:
        """Where people look at runs."""
        return f"http://{self.host}:{self.port}"

    @property
    def api_url(self) -> str:
        """Where Prefect's client goes."""
        return f"{self.ui_url}/api"

    def encode(self) -> str:
        """Return the text of the record."""
        return json.dumps(asdict(self), indent=1)


def read_state(files: ServerFiles) -> ServerState | None:
    """Return the record of the living server; None where there is no server or it has no record yet."""
    return last_state(files) if files.server_lives() else None


def last_state(files: ServerFiles) -> ServerState | None:
    """Return the record of a server that was killed, or of one that lives; None where it was stopped, or none was."""
    try:
        said = json.loads(files.record.read_text())
        return ServerState(**{**said, "machine": Machine(**said["machine"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_killed(files: ServerFiles) -> bool:
    """Check whether a server ended without emptying its record."""
    return last_state(files) is not None and not files.server_lives()


def forget(files: ServerFiles) -> None:
    """Empty the record of a server that was ended, unless another one lives."""
    held: FileLock | None = try_lock(files.record)
    if held is not None:
        held.write("")
        held.release()
