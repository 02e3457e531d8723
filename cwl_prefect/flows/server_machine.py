"""Where the local server runs, for a home that several machines or containers share.

Locks on a shared file system tell all of them that the server lives, but its address and its process id mean something
only where it runs.
"""

import contextlib
import json
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from cwl_prefect.errors import ServerError
from cwl_prefect.flows.server_state import ServerFiles
from cwl_prefect.standby.namespaces import namespace
from cwl_prefect.whole_file import write_whole

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_HINT = (
    "give this machine or container a home of its own by CWL_PREFECT_HOME, name a Prefect API that both reach by "
    "PREFECT_API_URL, or run `cwl-prefect server stop` where the server runs."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine, or a container on it; what the system does not tell is empty, and equal everywhere."""

    hostname: str
    boot_id: str
    processes: str  # namespace of its process ids
    network: str  # namespace of its addresses

    @classmethod
    def own(cls) -> "Machine":
        """Give the one that this process runs on."""
        return cls(
            hostname=socket.gethostname(),
            boot_id=_boot_id(),
            processes=namespace("pid"),
            network=namespace("net"),
        )

    def reaches(self, other: "Machine") -> bool:
        """Tell whether the loopback address of the other is that of this one."""
        return (self.boot_id, self.network) == (other.boot_id, other.network)

    def signals(self, other: "Machine") -> bool:
        """Tell whether a process id of the other is the same process here."""
        return (self.boot_id, self.processes) == (other.boot_id, other.processes)


def write_machine(files: ServerFiles, pid: int) -> None:
    """Record where the server of this process id runs; to be called by itself."""
    write_whole(files.machine, json.dumps({"pid": pid, **asdict(Machine.own())}, indent=1).encode())


def machine_of(files: ServerFiles) -> Machine | None:
    """Tell where the living server runs; None where it did not say so, or there is none."""
    try:
        said = json.loads(files.machine.read_text())
        if said.pop("pid") != int(files.pid.read_text()) or not files.server_lives():
            return None
        return Machine(**said)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def out_of_reach(files: ServerFiles) -> str | None:
    """Say where the server runs if its address means nothing here; None where it does, as far as is known."""
    found = machine_of(files)
    return None if found is None or Machine.own().reaches(found) else _said(files, found)


def demand_reachable(files: ServerFiles) -> None:
    """Refuse a server that runs where this process cannot reach it.

    Raises:
        ServerError: It does; the text names the machine.
    """
    said = out_of_reach(files)
    if said is not None:
        raise ServerError(f"{said}, and cannot be reached from here.", hint=_HINT)


def demand_signalable(files: ServerFiles) -> None:
    """Refuse to end a server whose process id means another process here, or none.

    Raises:
        ServerError: It does; the text names the machine.
    """
    found = machine_of(files)
    if found is not None and not Machine.own().signals(found):
        raise ServerError(f"{_said(files, found)}, and cannot be ended from here.", hint=_HINT)


def _said(files: ServerFiles, found: Machine) -> str:
    own = Machine.own()
    place = "another machine" if own.boot_id != found.boot_id else "another container of this machine, or outside one"
    return f"The local server of {files.directory.parent} runs on {found.hostname} ({place})"


def _boot_id() -> str:
    with contextlib.suppress(OSError):
        return _BOOT_ID.read_text().strip()
    return ""
