"""Room on the disk for workspaces."""

import os
from pathlib import Path

from cwl_prefect.errors import BackendError

_MIB = 1 << 20


def demand_room(directory: Path, least_mib: float) -> None:
    """Check that there is room for what a call will write.

    Args:
        directory: Where workspaces are.
        least_mib: Room that must be left; with 0 nothing is looked at.

    Raises:
        BackendError: There is not.
    """
    if least_mib <= 0:
        return
    try:
        found = os.statvfs(directory)
    except OSError:
        return  # making the workspace says what is wrong
    free_mib = found.f_bavail * found.f_frsize / _MIB
    if free_mib < least_mib:
        raise BackendError(
            f"the disk is full: {free_mib:.0f} MiB are free in {directory}, and calls need {least_mib:g} MiB to start.",
            hint="make room, see `cwl-prefect workspace du` and `gc`, then go on with `cwl-prefect runs resume`; "
            "CWL_PREFECT_LEAST_FREE_MIB sets the bound.",
        )
