"""From what a File or Directory of an output says to where it lies: in the output directory, an input, or nowhere else.

Paths are those that the tool sees; locations are of this machine.
"""

import os
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cwl_prefect._lib.hashing import file_checksum
from cwl_prefect._lib.uris import file_uri, path_of
from cwl_prefect.cwl.binding.output_directory import OutputDirectory, literal_about
from cwl_prefect.cwl.values import files
from cwl_prefect.cwl.values.places import NamedPlaces
from cwl_prefect.errors import OutputError
from cwl_prefect.model.job import StagedEntry
from cwl_prefect.model.values import CwlObject

_ONLY_OWN = "A tool may only give files of its own output directory or its inputs."
_FROM_CALL = frozenset({"path", "dirname"})  # fields that mean something only inside of the call


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPlaces:
    """Where files of a call's outputs may lie.

    Attributes:
        outdir: The output directory as the tool sees it.
        directory: The same on this machine.
        known: What the call found, by the paths at which the tool found it.
        entries: How it was put there, by the same paths.
        named: What the inputs name.
        checksum: Whether files get checksums.
    """

    outdir: str
    directory: OutputDirectory
    known: Mapping[str, CwlObject]
    entries: Mapping[str, StagedEntry]
    named: NamedPlaces
    checksum: bool

    def settled(self, value: Any) -> Any:
        """Return an output with a location for every file, and without paths of the call.

        Raises:
            OutputError: A file lies elsewhere, or is not there.
        """
        return files.map_files(value, self._file)

    def path_here(self, path: str) -> str:
        """Return the path on this machine of what the tool has in its output directory."""
        below = os.path.normpath(os.path.join(self.outdir, path))  # noqa: PTH118 - keeps what is written
        for root in (self.outdir, self.directory.root):
            if below == root or below.startswith(f"{root}/"):
                return self.directory.root + below.removeprefix(root)
        raise OutputError(f"{path} is outside the output directory.", hint=_ONLY_OWN)

    def class_beside(self, primary: str, name: str) -> str | None:
        """Return the class of what lies beside a file, in the output directory or as an input; None for nothing.

        Raises:
            OutputError: The file is the tool's own, and the name leads out of the output directory.
        """
        path = os.path.join(os.path.dirname(primary), name)  # noqa: PTH118, PTH120 - texts
        passed_on = self._passed_on(path)
        if passed_on is not None:
            origin, below = passed_on
            if not below or files.is_literal(origin):
                return None if below else str(origin["class"])
            here = files.local_path(str(origin["location"]), directory=True) + below
        else:
            try:
                here = self.path_here(path)
            except OutputError:
                if self._passed_on(primary) is None:
                    raise
                return None
        if os.path.isdir(here):  # noqa: PTH112 - a path as the tool gave it
            return "Directory"
        return "File" if os.path.lexists(here) else None

    def _file(self, found: CwlObject) -> CwlObject:
        placed = self._placed(found)
        if isinstance(beside := found.get("secondaryFiles"), list):
            placed["secondaryFiles"] = self.settled(beside)
        if placed["class"] == "File":
            return self._with_sum(placed)
        return placed

    def _placed(self, found: CwlObject) -> CwlObject:
        kept: CwlObject = {key: value for key, value in found.items() if key not in _FROM_CALL}
        path, location = found.get("path"), found.get("location")
        if not isinstance(path, str) and isinstance(location, str) and not location.startswith("_:"):
            if self.named.holds(location):
                return _located(kept, location)
            here = path_of(location)
            if here is None:
                raise OutputError(f"{location} is outside the output directory.", hint=_ONLY_OWN)
            path = urllib.parse.unquote(str(here)) if "://" not in location and not here.is_absolute() else str(here)
        if not isinstance(path, str):
            return self._literal(kept)
        passed_on = self._passed_on(path)
        if passed_on is not None:
            origin, below = passed_on
            if files.is_literal(origin):
                return self._literal({**_of_literal(origin), **kept, "location": origin["location"]})
            location = str(origin["location"]) if not below else _inside(origin, below)
            return _located({"basename": os.path.basename(path), **kept}, location)  # noqa: PTH119 - a text
        return self._of_directory(kept, self.path_here(path))

    def _of_directory(self, kept: CwlObject, here: str) -> CwlObject:
        self.directory.demand(here)
        kind = "Directory" if os.path.isdir(here) else "File"  # noqa: PTH112 - a path as the tool gave it
        if not os.path.exists(here) or kind != kept["class"]:  # noqa: PTH110 - the same
            shown = os.path.relpath(here, self.directory.root)
            raise OutputError(f"{shown} is not there as a {kept['class']}.", hint="Let the tool write it.")
        return _located({"basename": os.path.basename(here), **kept}, file_uri(here))  # noqa: PTH119 - a text

    def _passed_on(self, path: str) -> tuple[CwlObject, str] | None:
        """Return the input that a path is of, and the rest of the path below it; None for what the call made."""
        if not self.known:
            return None
        place = os.path.normpath(os.path.join(self.outdir, path))  # noqa: PTH118 - keeps what is written
        below = ""
        while place not in ("", "/"):
            entry = self.entries.get(place)
            if place in self.known and not self._was_made(place, entry):
                return self.known[place], below
            place, below = os.path.dirname(place), f"/{os.path.basename(place)}{below}"  # noqa: PTH119, PTH120 - texts
        return None

    def _was_made(self, place: str, entry: StagedEntry | None) -> bool:
        """Check whether what is at an input's place is the call's own: in its output directory, and not the input."""
        if not place.startswith(f"{self.outdir}/") and place != self.outdir:
            return False
        here = self.directory.root + place.removeprefix(self.outdir)
        origin = entry.source if entry is not None and entry.source else None
        if origin is None or not os.path.islink(here):  # noqa: PTH114 - a text
            return True
        return os.path.realpath(here) != os.path.realpath(origin)

    def _literal(self, found: CwlObject) -> CwlObject:
        listing = found.get("listing")
        return {**files.settled(found), **({"listing": self.settled(listing)} if isinstance(listing, list) else {})}

    def _with_sum(self, file: CwlObject) -> CwlObject:
        if files.is_literal(file):
            return {**file, **literal_about(str(file["contents"]), checksum=self.checksum)}
        if "checksum" in file or not self.checksum:
            return file if "size" in file else {**file, **_size(file)}
        path = Path(files.local_path(str(file["location"])))
        return {**file, "checksum": file_checksum(path), "size": path.stat().st_size}


def _located(kept: CwlObject, location: str) -> CwlObject:
    """Return what lies at a location; a Directory without what it holds, which whoever needs it lists again."""
    inner = ("listing", "secondaryFiles")
    return files.settled({key: value for key, value in kept.items() if key not in inner} | {"location": location})


def _of_literal(origin: CwlObject) -> CwlObject:
    return {key: value for key, value in origin.items() if key in ("contents", "listing", "basename", "format")}


def _inside(origin: CwlObject, below: str) -> str:
    return file_uri(files.local_path(str(origin["location"]), directory=True) + below)


def _size(file: CwlObject) -> CwlObject:
    path = path_of(str(file["location"]))
    return {} if path is None else {"size": path.stat().st_size}
