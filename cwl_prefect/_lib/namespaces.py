"""Which machine this process runs on, and in which of its namespaces: ids and addresses mean something there only."""

import contextlib
from pathlib import Path

_OWN = Path("/proc/self/ns")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def namespace(kind: str) -> str:
    """Name the namespace of a kind, as ``pid`` or ``net``; empty where the system does not tell (namespaces(7))."""
    with contextlib.suppress(OSError):
        return str((_OWN / kind).readlink())
    return ""


def boot_id() -> str:
    """Return what names the machine since it was started, in all of its containers; empty where nothing tells."""
    with contextlib.suppress(OSError):
        return _BOOT_ID.read_text().strip()
    return ""
