"""Room on the disk for workspaces."""

import os
from collections.abc import Callable
from pathlib import Path

from cwl_prefect.errors import BackendError

_MIB = 1 << 20


def free_mib(directory: Path) -> float | None:
    """Tell how much is free for others than root where a directory is; None where that cannot be told."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return None  # making the workspace says what is wrong
    return found.f_bavail * found.f_frsize / _MIB


class Room:
    """Room that one run has for its workspaces, looked at for each call: short ones fill a disk within a second.

    Args:
        directory: Where workspaces are.
        least_mib: Room that must be left; with 0 nothing is looked at.
        free: Tells how much is free.
    """

    def __init__(self, directory: Path, least_mib: float, *, free: Callable[[Path], float | None] = free_mib) -> None:
        self._directory = directory
        self._least_mib = least_mib
        self._free = free

    @property
    def bounded(self) -> bool:
        """Whether there is anything to look at."""
        return self._least_mib > 0

    def demand(self) -> None:
        """Check that there is room for what a call will write.

        Raises:
            BackendError: There is not.
        """
        shortage = self.shortage()
        if shortage is not None:
            raise BackendError(
                f"the disk is full: {shortage}, and calls need {self._least_mib:g} MiB to start.",
                hint="make room, see `cwl-prefect workspace du` and `gc`, then go on with `cwl-prefect runs resume`; "
                "CWL_PREFECT_LEAST_FREE_MIB sets the bound.",
            )

    def shortage(self) -> str | None:
        """Tell how little is free where that is less than must be left, or None."""
        if not self.bounded:
            return None
        found = self._free(self._directory)
        if found is None or found >= self._least_mib:
            return None
        return f"{found:.0f} MiB are free in {self._directory}"
