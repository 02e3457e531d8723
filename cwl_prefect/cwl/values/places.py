"""What a call may read: the files and directories that its inputs name, and what is below these."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cwl_prefect._lib.uris import path_of
from cwl_prefect.cwl.values.files import is_literal
from cwl_prefect.errors import StepError
from cwl_prefect.model.values import CwlObject, file_objects


@dataclass(frozen=True, slots=True)
class NamedPlaces:
    """Locations that are named, their paths on this machine, and paths below which all is."""

    locations: frozenset[str]
    paths: frozenset[str]
    directories: tuple[str, ...]

    @classmethod
    def of(cls, values: Mapping[str, Any], *, beside: CwlObject | None = None) -> "NamedPlaces":
        """Return what values name; a secondary file may also lie beside its primary one."""
        named = list(file_objects(dict(values)))
        locations = frozenset(str(found["location"]) for found in named if "location" in found)
        directories = {_path(str(found.get("location", "_:"))) for found in named if found["class"] == "Directory"}
        if beside is not None:
            directories.add(os.path.dirname(_path(str(beside["location"])) or ""))  # noqa: PTH120 - a text
        paths = frozenset(path for path in map(_path, locations) if path)
        return cls(locations, paths, tuple(place for place in directories if place))

    def holds(self, location: str) -> bool:
        """Check whether a location is named, or lies below a directory that is."""
        path = _path(location)
        if location in self.locations or path in self.paths:
            return True
        return path is not None and any(path.startswith(f"{place}/") for place in self.directories)

    def demand(self, found: CwlObject) -> None:
        """Check that everything in a File or Directory is named.

        Raises:
            StepError: An expression made up a location.
        """
        for inner in file_objects(found):
            if not is_literal(inner) and not self.holds(str(inner["location"])):
                raise StepError(
                    f"{inner['class']} {inner['location']} is none that an input names.",
                    hint="A call may read what its inputs name: declare an input for it.",
                )


def _path(location: str) -> str | None:
    path = path_of(location)
    return None if path is None else os.path.normpath(path)
