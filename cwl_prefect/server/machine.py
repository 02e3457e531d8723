"""Where the local server runs, for a home that several machines or containers share.

Locks on a shared file system tell all of them that the server lives, but its address and its process id mean something
only where it runs.
"""

import socket
from dataclasses import dataclass

from cwl_prefect._lib.namespaces import boot_id, namespace


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine, or a container on it; what the system does not tell is empty, and equal everywhere."""

    hostname: str
    boot_id: str
    processes: str  # namespace of its process ids
    network: str  # namespace of its addresses

    @classmethod
    def own(cls) -> "Machine":
        """Return the one that this process runs on."""
        return cls(
            hostname=socket.gethostname(),
            boot_id=boot_id(),
            processes=namespace("pid"),
            network=namespace("net"),
        )

    def reaches(self, other: "Machine") -> bool:
        """Check whether the loopback address of the other is that of this one."""
        return (self.boot_id, self.network) == (other.boot_id, other.network)

    def signals(self, other: "Machine") -> bool:
        """Check whether a process id of the other is the same process here."""
        return (self.boot_id, self.processes) == (other.boot_id, other.processes)

    def describe(self, other: "Machine") -> str:
        """Describe where the other is, which is not here."""
        another_machine = self.boot_id != other.boot_id
        place = "another machine" if another_machine else "another container of this machine, or outside one"
        return f"{other.hostname} ({place})"
