"""What is put into a call's working directory (CWL CommandLineTool, §InitialWorkDirRequirement)."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cwl_prefect._lib.uris import file_uri
from cwl_prefect.cwl.binding.staged import Placed, Staged
from cwl_prefect.cwl.javascript.expressions import Scope
from cwl_prefect.cwl.values import files
from cwl_prefect.cwl.values.errors import part_errors
from cwl_prefect.cwl.values.places import NamedPlaces
from cwl_prefect.cwl.values.type_errors import shown
from cwl_prefect.errors import StepError
from cwl_prefect.model.plan import ToolPlan, requirement
from cwl_prefect.model.values import CwlObject, is_file_object

_BEFORE_JSON = ("v1.0", "v1.1")  # and before absolute names
_NAME_HINT = "Name the file by `entryname`, or give a File or Directory that has a basename."


def placed(tool: ToolPlan, scope: Scope, staged: Staged, *, docker_required: bool) -> Iterator[Placed]:
    """Yield what is to be in the working directory, in order.

    Args:
        tool: The tool.
        scope: What expressions see: the inputs with their paths.
        staged: The same inputs.
        docker_required: Whether names may be absolute, as in a container that the tool insists on.

    Raises:
        StepError: An entry is neither a text, a File nor a Directory, has no name, or one that leads out.
        ExpressionError: An expression failed.
    """
    asked = requirement(tool.requirements, tool.hints, "InitialWorkDirRequirement")
    if asked is None:
        return
    absolute = docker_required and tool.cwl_version not in _BEFORE_JSON
    sources = _Sources(staged)
    listing = _Listing(scope=scope, version=tool.cwl_version)
    for where, declared in _declared(asked["listing"]):
        with part_errors(where):
            for entry in listing.entries(declared):
                found = sources.resolved(entry.found, written=_is_written(declared))
                yield Placed(found=found, name=_name(found, absolute=absolute), writable=entry.writable)


def _declared(listing: Any) -> Iterator[tuple[str, Any]]:
    """Yield the entries of a listing, each after what errors call it."""
    where = "InitialWorkDirRequirement: listing"
    if isinstance(listing, str):
        yield where, listing
        return
    yield from ((f"{where}[{number}]", declared) for number, declared in enumerate(listing))


def _is_written(declared: Any) -> bool:
    """Check whether an entry of a document is the File or Directory itself, or a list of them."""
    return isinstance(declared, list) or (isinstance(declared, Mapping) and "class" in declared)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A File or Directory that the listing names."""

    found: CwlObject
    writable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listing:
    """Evaluates entries of a listing."""

    scope: Scope
    version: str

    def entries(self, declared: Any) -> Iterator[_Entry]:
        """Yield what an entry of the document names."""
        if isinstance(declared, Mapping) and "entry" in declared:
            entry = self.scope.evaluate(declared["entry"], strip=False)
            yield from self._dirent(declared, entry, self.scope.evaluate(declared.get("entryname")))
        else:
            yield from self._given(self.scope.evaluate(declared))

    def _given(self, found: Any) -> Iterator[_Entry]:
        """Yield what an expression gave; null gives nothing."""
        if isinstance(found, list):
            for item in found:
                yield from self._given(item)
        elif is_file_object(found):
            yield _Entry(found=found, writable=bool(found.get("writable")))
        elif isinstance(found, dict) and "entry" in found:
            yield from self._dirent(found, found["entry"], found.get("entryname"))
        elif found is not None and found != "":
            raise StepError(f"expected a File, Directory or Dirent, found {shown(found)}.", hint=_NAME_HINT)

    def _dirent(self, declared: Mapping[str, Any], entry: Any, name: Any) -> Iterator[_Entry]:
        writable = bool(declared.get("writable"))
        if entry is None:
            return
        if name is not None and not isinstance(name, str):
            raise StepError(f"entryname must be a string, {declared['entryname']} gave {shown(name)}.")
        if self._is_files(entry, named=bool(name)):
            if name:
                raise StepError("entryname names one file, and entry gave a list of them.")
            yield from (_Entry(found=item, writable=writable) for item in entry)
        elif is_file_object(entry):
            yield _Entry(found={**entry, "basename": name} if name else entry, writable=writable)
        else:
            yield _Entry(found=self._text(entry, name), writable=writable)

    def _is_files(self, entry: Any, *, named: bool) -> bool:
        """Check whether an entry gave Files and Directories; an empty list without a name gave none of them."""
        return (
            isinstance(entry, list)
            and self.version != "v1.0"
            and (bool(entry) or not named)
            and all(map(is_file_object, entry))
        )

    def _text(self, entry: Any, name: str | None) -> CwlObject:
        if not isinstance(entry, str) and self.version in _BEFORE_JSON:
            raise StepError(
                f"entry gave {shown(entry)}, which CWL {self.version} does not write as JSON.",
                hint="Give a string, File or Directory, or write cwlVersion: v1.2.",
            )
        if not name:
            raise StepError(
                "entryname is missing: the entry is a text, which has no name of its own.",
                hint="Name the file by `entryname`; or where a File was meant, write its expression in one line, as a"
                " line break after it makes a text of it.",
            )
        contents = entry if isinstance(entry, str) else json.dumps(entry, sort_keys=True)
        return {"class": "File", "basename": name, "contents": contents}


class _Sources:
    """Says of a File or Directory that an expression gave which input it is."""

    def __init__(self, staged: Staged) -> None:
        self._known = staged.known()
        self._paths = {str(found["location"]): path for path, found in reversed(self._known.items())}
        self._named = NamedPlaces.of(staged.values)

    def resolved(self, found: CwlObject, *, written: bool) -> CwlObject:
        """Return it with location and path, and all within.

        Args:
            found: The File or Directory.
            written: Whether the document itself names it, rather than an expression.

        Raises:
            StepError: It is no input, nor within one, nor a literal, nor written in the document.
        """
        located = self._located(found)
        settled = files.settled(located)
        if not written:
            self._named.demand(settled)
        return self._with_paths(settled, located)

    def _located(self, found: CwlObject) -> CwlObject:
        changed: CwlObject = dict(found)
        for field in ("secondaryFiles", "listing"):
            if isinstance(inner := found.get(field), list):
                changed[field] = [self._located(item) for item in inner]  # type: ignore[arg-type]
        path = found.get("path")
        if isinstance(path, str) and (known := self._at(path)) is not None:
            return {"basename": os.path.basename(path), **changed, "location": known}  # noqa: PTH119 - a text
        return changed

    def _at(self, path: str) -> str | None:
        """Return the location of what a call finds at a path, itself or below a directory."""
        place, rest = path, ""
        while place not in ("", "/"):
            if (found := self._known.get(place)) is not None:
                location = str(found["location"])
                return location if not rest else file_uri(files.local_path(location, directory=True) + rest)
            place, rest = os.path.dirname(place), f"/{os.path.basename(place)}{rest}"  # noqa: PTH119, PTH120 - texts
        return None

    def _with_paths(self, settled: CwlObject, located: CwlObject) -> CwlObject:
        path = located.get("path") or self._paths.get(str(settled["location"]))
        changed: CwlObject = {**settled, **({"path": path} if path in self._known else {})}
        for field in ("secondaryFiles", "listing"):
            inner, before = settled.get(field), located.get(field)
            if isinstance(inner, list) and isinstance(before, list):
                pairs = zip(inner, before, strict=True)
                changed[field] = [self._with_paths(new, old) for new, old in pairs]  # type: ignore[arg-type]
        return changed


def _name(found: CwlObject, *, absolute: bool) -> str:
    name = os.path.normpath(str(found["basename"]))
    if name == ".." or name.startswith("../"):
        raise StepError(f"the name {name!r} leads out of the working directory.")
    if name.startswith("/") and not absolute:
        raise StepError(
            f"the name {name!r} is absolute.",
            hint="Only a tool of CWL v1.2 whose DockerRequirement is a requirement may use absolute names.",
        )
    return name
