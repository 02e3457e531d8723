"""Room on the disk for workspaces."""

import os
from pathlib import Path

from cwl_prefect.errors import BackendError

_MIB = 1 << 20


def demand_room(directory: Path, least_mib: float) -> None:
    """Check that there is room for what a call will write; to be done for each: short ones fill a disk in a second.

    Args:
        directory: Where workspaces are.
        least_mib: Room that must be left; with 0 nothing is looked at.

    Raises:
        BackendError: There is not.
    """
    found = shortage(directory, least_mib)
    if found is not None:
        raise BackendError(
            f"the disk is full: {found}, and calls need {least_mib:g} MiB to start.",
            hint="make room, see `cwl-prefect workspace du` and `gc`, then go on with `cwl-prefect runs resume`; "
            "CWL_PREFECT_LEAST_FREE_MIB sets the bound.",
        )


def shortage(directory: Path, least_mib: float) -> str | None:
    """Return how little is free where that is less than must be left, or None; with 0 nothing is looked at."""
    if least_mib <= 0:
        return None
    try:
        found = os.statvfs(directory)
    except OSError:
        return None  # making the workspace says what is wrong
    free_mib = found.f_bavail * found.f_frsize / _MIB
    return f"{free_mib:.0f} MiB are free in {directory}" if free_mib < least_mib else None
