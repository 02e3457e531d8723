"""Complete the inputs of a process: defaults, types, contents, listings, secondary files and formats.

The order is that of the specification (CWL CommandLineTool, §Input binding): defaults and types first, then what
expressions may ask of each file.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cwl_prefect._lib import locations
from cwl_prefect._lib.locations import is_remote
from cwl_prefect._lib.uris import file_uri, path_of
from cwl_prefect.cwl.access.host_files import HostFiles
from cwl_prefect.cwl.javascript.expressions import Scope, Script
from cwl_prefect.cwl.javascript.reads import Recorder
from cwl_prefect.cwl.javascript.scanner import may_hold_expression
from cwl_prefect.cwl.values import files
from cwl_prefect.cwl.values.errors import part_errors
from cwl_prefect.cwl.values.formats import Ontology, is_of
from cwl_prefect.cwl.values.places import NamedPlaces
from cwl_prefect.cwl.values.secondary_files import Wanted, wanted
from cwl_prefect.cwl.values.type_errors import fault, shown, written
from cwl_prefect.cwl.values.types import ANY, Array, CwlType, Details, Parameter, Plain, Record, Union, branch
from cwl_prefect.errors import ExpressionError, InputError, StepError, StorageError
from cwl_prefect.model.values import CwlObject
from cwl_prefect.storage import objects

LISTINGS = ("shallow_listing", "deep_listing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """How the inputs of one process are completed."""

    script: Script
    runtime: Mapping[str, Any]
    ontology: Ontology
    discover: bool  # whether secondary files are looked for beside their primary file
    load_listing: str | None  # of LoadListingRequirement
    host_files: HostFiles
    recorder: Recorder | None = None  # is told what expressions read


def completed(ports: Sequence[Parameter], given: Mapping[str, Any], how: Completion) -> CwlObject:
    """Return the value of each input, with all that the document wants to be known of it.

    Raises:
        InputError: A value is missing or not of its type, or a file is missing or not of its format.
        ExpressionError: An expression failed.
    """
    filled = {port.name: _filled(port, given.get(port.name)) for port in ports}
    _check_types(ports, filled)
    demand_readable(ports, filled, how.host_files)
    values: CwlObject = {}
    for port in ports:
        with part_errors(f"input {port.name}"):
            values[port.name] = files.map_files(filled[port.name], _measured)
    scope = Scope(inputs=values, runtime=how.runtime, script=how.script, recorder=how.recorder)
    completing = _Completing(how=how, scope=scope)
    for port in ports:
        with part_errors(f"input {port.name}"):
            values[port.name] = completing.value(port.type, values[port.name], port.details)
    return values


def demand_readable(ports: Sequence[Parameter], given: Mapping[str, Any], host_files: HostFiles) -> None:
    """Check that all files that inputs and their defaults name may be read.

    Raises:
        InputError: One may not.
    """
    for port in ports:
        with part_errors(f"input {port.name}"):
            host_files.demand(_filled(port, given.get(port.name)))


def _filled(port: Parameter, given: Any) -> Any:
    return port.default if given is None else given


def _check_types(ports: Sequence[Parameter], values: Mapping[str, Any]) -> None:
    faults = list(_faults(ports, values))
    if faults:
        text = "\n  ".join(f"{each}." for each in faults)
        error = InputError(text, hint="`cwl-prefect inputs DOCUMENT` shows what is expected.")
        error.parts = (faults[0].partition(":")[0],)
        raise error


def _faults(ports: Sequence[Parameter], values: Mapping[str, Any]) -> Iterator[str]:
    for port in ports:
        value = values[port.name]
        reason = fault(port.type, value)
        if reason is not None and value is None:
            yield f"input {port.name}: there is no value, expected {written(port.type)}"
        elif reason is not None:
            yield f"input {port.name}: {reason}"


@dataclass(frozen=True, slots=True)
class _Completing:
    how: Completion
    scope: Scope

    def value(self, declared: CwlType, value: Any, details: Details) -> Any:  # noqa: PLR0911 - one for each type
        """Return a value with what its type and details ask for."""
        if isinstance(declared, Union):
            declared = branch(declared, value) or ANY
        match declared:
            case Array(items=items):
                return [self.value(items, item, details) for item in value]
            case Record(fields=fields):
                known = {field.name: self._field(field, value.get(field.name)) for field in fields}
                return {**value, **known}
            case Plain(name="File"):
                return self._file(value, details)
            case Plain(name="Directory"):
                return self._directory(value, details)
            case Plain(name="Any") if isinstance(value, dict) and value.get("class") in ("File", "Directory"):
                return self.value(Plain(value["class"]), value, details)
            case Plain(name="Any"):
                return files.map_files(value, lambda found: self.value(Plain(str(found["class"])), found, Details()))
            case _:
                return value

    def _field(self, field: Parameter, value: Any) -> Any:
        filled = field.default if value is None else value
        return filled if filled is None else self.value(field.type, filled, field.details)

    def _file(self, file: CwlObject, details: Details) -> CwlObject:
        found = dict(file)
        if details.load_contents and not (files.is_literal(found) and "contents" in found):
            location = str(found["location"])
            found["contents"] = files.contents_of(files.local_path(location), str(found["basename"]))
        if details.secondary_files and ("secondaryFiles" not in found or self.how.discover):
            found["secondaryFiles"] = self._secondary_files(found, details)
        if details.format is not None:
            self._check_format(found, details.format)
        return found

    def _directory(self, directory: CwlObject, details: Details) -> CwlObject:
        wanted_listing = details.load_listing or self.how.load_listing
        if wanted_listing not in LISTINGS or files.is_literal(directory):
            return directory
        return files.listing_of(directory, deep=wanted_listing == "deep_listing")

    def _secondary_files(self, primary: CwlObject, details: Details) -> list[Any]:
        found: list[Any] = list(primary.get("secondaryFiles") or ())  # type: ignore[arg-type]  # a list by its type
        seen = {**primary, "secondaryFiles": found}
        for asked in wanted(details.secondary_files, seen, self.scope, required=True):
            if any(item.get("basename") == asked.name for item in found):
                continue
            added = self._beside(primary, asked)
            if added is not None:
                found = _with(found, added)
                seen["secondaryFiles"] = found
        return found

    def _beside(self, primary: CwlObject, asked: Wanted) -> CwlObject | None:
        if asked.given is not None:
            given = files.settled(asked.given)
            NamedPlaces.of(self.scope.inputs, beside=primary).demand(given)
            self.how.host_files.demand(given)
            return given
        if ".." in asked.name.split("/"):
            raise InputError(f"the secondary file {asked.name} of {primary['basename']} is not beside it.")
        found = _neighbour(str(primary["location"]), asked) if self.how.discover else None
        if found is None and asked.required:
            raise InputError(
                f"Missing required secondary file {asked.name} of {primary['basename']}.",
                hint="Put it beside the file, name it in secondaryFiles, or let the pattern end in '?'.",
            )
        self.how.host_files.demand(found)
        return None if found is None else files.settled(found)

    def _check_format(self, file: CwlObject, declared: Any) -> None:
        found = self.scope.evaluate(declared)
        accepted = found if isinstance(found, list) else [found]
        if not all(isinstance(name, str) and not may_hold_expression(name) for name in accepted):
            raise ExpressionError(f"the format {declared} gave {shown(found)}, expected a name or a list of names.")
        names, own = " or ".join(accepted), file.get("format")
        if not isinstance(own, str):
            raise InputError(
                f"{file['basename']} has no format, expected {names}.", hint="Add `format: …` to the File object."
            )
        if not is_of(own, accepted, self.how.ontology):
            raise InputError(f"{file['basename']} has the format {own}, expected {names}.")


def _measured(found: CwlObject) -> CwlObject:
    try:
        return _all_sized(files.settled(found))
    except StepError as error:
        raise InputError(error.message, hint=error.hint) from error


def _all_sized(found: CwlObject) -> CwlObject:
    """Return a File with its size, and all within a File or Directory with theirs."""
    sized = _sized(found) if found["class"] == "File" else dict(found)
    for field in ("secondaryFiles", "listing"):
        if isinstance(inner := sized.get(field), list):
            sized[field] = [_all_sized(item) for item in inner]  # type: ignore[arg-type]  # files by their type
    return sized


def _sized(file: CwlObject) -> CwlObject:
    if "size" in file:
        return dict(file)
    if files.is_literal(file):
        text = file.get("contents")
        return {**file, "size": len(text.encode("utf-8", "surrogateescape"))} if isinstance(text, str) else dict(file)
    path = path_of(str(file["location"]))
    try:
        return dict(file) if path is None else {**file, "size": os.stat(path).st_size}  # noqa: PTH116 - three times faster
    except OSError:
        return dict(file)


def _with(known: list[Any], added: CwlObject) -> list[Any]:
    """Return secondary files with one more; one of the same location gets the new name."""
    if any(item.get("location") == added["location"] for item in known):
        return [
            files.named(item, str(added["basename"])) if item.get("location") == added["location"] else item
            for item in known
        ]
    return [*known, added]


def _neighbour(location: str, asked: Wanted) -> CwlObject | None:
    name = asked.name
    path = path_of(location)
    if path is not None:
        beside = os.path.join(os.path.dirname(path), name)  # noqa: PTH118, PTH120 - names may have any dots
        here = "Directory" if os.path.isdir(beside) else "File"  # noqa: PTH112 - a path that is none is no directory
        there = os.path.exists(beside)  # noqa: PTH110 - as above
        return {"class": here, "location": file_uri(beside), "basename": name} if there else None
    if not is_remote(location):
        return None
    url = locations.beside(location, name)
    try:
        kind = objects.kind(url)
    except StorageError:
        if asked.required:
            raise
        return None  # a store says of what is not there that it is forbidden where it may not be listed
    return None if kind is None else {"class": kind, "location": url, "basename": name}
