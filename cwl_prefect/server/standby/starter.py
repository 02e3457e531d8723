"""Leave a process behind that stands by for the next call."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Set

from cwl_prefect.server.standby.circumstances import Circumstances
from cwl_prefect.server.standby.place import Place

_PROGRAM = "from cwl_prefect.__main__ import stand_by; stand_by()"


def leave_behind(place: Place) -> None:
    """Start a process that loads what this one has loaded, and waits at the place; it may find it taken."""
    seen = place.circumstances
    modules = list(_imported(seen))
    with tempfile.TemporaryFile("w+") as loaded:
        wanted = {
            "name": place.name,
            "directory": str(seen.directory),
            "modules": modules,
            "models": list(_complete_models(frozenset(modules))),
        }
        json.dump(wanted, loaded)
        loaded.seek(0)
        subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM],
            stdin=loaded,
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


def _complete_models(modules: Set[str]) -> Iterator[tuple[str, str]]:
    """Name the models of modules, as module and name, that pydantic has finished: many of Prefect's wait for a use."""
    if "pydantic" not in sys.modules:
        return
    from pydantic import BaseModel

    waiting = [BaseModel]
    while waiting:
        model = waiting.pop()
        waiting += model.__subclasses__()
        if model.__pydantic_complete__ and model.__module__ in modules:
            yield model.__module__, model.__qualname__
