"""Leave a process behind that stands by for the next call."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from cwl_prefect.standby.circumstances import Circumstances
from cwl_prefect.standby.place import Place

_PROGRAM = "from cwl_prefect.__main__ import stand_by; stand_by()"


def leave_behind(place: Place) -> None:
    """Start a process that imports what this one has imported, and waits at the place; it may find it taken."""
    seen = place.circumstances
    with tempfile.TemporaryFile("w+") as modules:
        wanted = {"name": place.name, "directory": str(seen.directory), "modules": list(_imported(seen))}
        json.dump(wanted, modules)
        modules.seek(0)
        subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM],
            stdin=modules,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=seen.directory if seen.configured_here else place.directory,  # the caller's may soon be gone
            env=seen.environment,
            start_new_session=True,
        )


def _imported(circumstances: Circumstances) -> Iterator[str]:
    """Name what was imported from Python, from installed packages and from this one: not what belongs to one call."""
    installed = tuple(f"{directory}/" for directory in (*circumstances.search_path, circumstances.package))
    for name, module in list(sys.modules.items()):
        origin = getattr(getattr(module, "__spec__", None), "origin", None)
        if isinstance(origin, str) and origin.startswith(installed) and name != "__main__":
            yield name
