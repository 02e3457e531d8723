"""Collect what a call left behind, from its output directory only, and tell which output is not what it declares."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from cwl_prefect._lib.hashing import file_checksum
from cwl_prefect._lib.uris import file_uri
from cwl_prefect.cwl.binding.outputs import OutputPlaces
from cwl_prefect.cwl.javascript.engine import JavascriptError
from cwl_prefect.cwl.javascript.expressions import Scope
from cwl_prefect.cwl.values import files
from cwl_prefect.cwl.values.errors import part_errors, put_place, readable
from cwl_prefect.cwl.values.secondary_files import Wanted, wanted
from cwl_prefect.cwl.values.type_errors import fault, shown
from cwl_prefect.cwl.values.types import ANY, CwlType, Parameter, Plain, Record, Union, accepts_null
from cwl_prefect.errors import CwlPrefectError, ExpressionError, OutputError
from cwl_prefect.model.plan import ToolPlan
from cwl_prefect.model.values import TOO_DEEP, CwlObject, unusable

CUSTOM_OUTPUT = "cwl.output.json"
MOST_NAMES = 10
_VALUES = "Let the tool write JSON there: Unicode texts, finite numbers, nested less deeply."
_WHOLE = (".", "./", "$(runtime.outdir)")  # globs that give the output directory itself
_LISTINGS = ("shallow_listing", "deep_listing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """How the outputs of a call are collected.

    Attributes:
        ports: The outputs that the tool declares.
        scope: What expressions see, the exit code too.
        places: Where files may lie.
        load_listing: Of LoadListingRequirement.
    """

    ports: Sequence[Parameter]
    scope: Scope
    places: OutputPlaces
    load_listing: str | None


def collected(how: Collection, *, name: str, written: Mapping[str, str] | None = None) -> CwlObject:
    """Return the outputs of a call.

    Args:
        how: How they are collected.
        name: What to call the call in errors.
        written: Where the parts of the tool stand, as a plan has them.

    Raises:
        OutputError: An output is not what the tool declares.
        ExpressionError: An expression failed.
    """
    with output_errors(name, how.places.directory.root, written or {}):
        custom = f"{how.places.directory.root}/{CUSTOM_OUTPUT}"
        if os.path.lexists(custom):
            outputs = _custom_output(how, custom)
        else:
            outputs = {}
            for port in how.ports:
                with part_errors(f"output {port.name}"):
                    outputs[port.name] = how.places.settled(_Port(how).value(port))
        _check_types(how.ports, outputs)
        return outputs


def _custom_output(how: Collection, path: str) -> CwlObject:
    """Return the outputs that a tool wrote itself (CWL CommandLineTool, §Output binding)."""
    how.places.directory.demand(path)
    found: object = None
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), encoding="utf-8") as stream:  # noqa: PTH123
            found = json.load(stream)
    except ValueError as error:
        raise OutputError(
            f"{CUSTOM_OUTPUT} is not JSON: {error}.", hint="Let the tool write one JSON object there, or nothing."
        ) from error
    except RecursionError as error:
        raise OutputError(f"{CUSTOM_OUTPUT}: {TOO_DEEP}.", hint=_VALUES) from error
    if not isinstance(found, dict):
        raise OutputError(f"{CUSTOM_OUTPUT} holds no JSON object.", hint="Let the tool write one, or nothing.")
    outputs: CwlObject = {}
    for name, value in found.items():
        with part_errors(f"output {name}"):
            if (reason := unusable({name: value})) is not None:
                raise OutputError(f"{CUSTOM_OUTPUT}: {reason}.", hint=_VALUES)
            outputs[str(name)] = how.places.settled(value)
    return outputs


def _check_types(ports: Sequence[Parameter], outputs: CwlObject) -> None:
    reasons = ((port.name, fault(port.type, outputs.get(port.name))) for port in ports if port.type != ANY)
    faults = [f"output {name}: {reason}" for name, reason in reasons if reason is not None]
    if faults:
        hint = "Let the tool's outputBinding give what the output's type says."
        error = OutputError(f"{'; '.join(faults)}.", hint=hint)
        error.parts = (faults[0].partition(":")[0],)
        raise error


@dataclass(frozen=True, slots=True)
class _Port:
    """Collects one output, or one field of a record."""

    how: Collection

    def value(self, port: Parameter) -> Any:
        """Return what its binding gives, files with the paths that the tool sees."""
        binding = port.output
        if binding is None:
            record = _record(port.type)
            return None if record is None else {field.name: self.value(field) for field in record.fields}
        patterns = self._patterns(binding.get("glob"))
        found: Any = [found for pattern in patterns for found in self._matches(pattern, port)]
        if "outputEval" in binding:
            found = self.how.scope.evaluate(binding["outputEval"], found)
        if _is_single(port.type):
            found = self._only(found, port.type, patterns)
        found = self._with_secondary_files(found, port)
        if port.details.format is not None:
            found = files.map_files(found, lambda file: self._with_format(file, port.details.format))
        return None if found == [] and accepts_null(port.type) else found

    def _patterns(self, declared: Any) -> list[str]:
        patterns: list[str] = []
        for entry in declared if isinstance(declared, list) else [declared]:
            found = self.how.scope.evaluate(entry)
            for pattern in found if isinstance(found, list) else [found]:
                if isinstance(pattern, str) and pattern:
                    patterns.append(self._relative(pattern))
                elif pattern:
                    raise ExpressionError(f"glob must give a string or a list of strings, {entry} gave {shown(found)}.")
        return patterns

    def _relative(self, pattern: str) -> str:
        outdir = self.how.places.outdir
        if pattern.rstrip("/") == outdir:
            return "."
        if pattern.startswith(f"{outdir}/"):
            return pattern.removeprefix(f"{outdir}/")
        if pattern.startswith("/"):
            raise OutputError("glob patterns must not start with '/'.", hint="Name what is in the output directory.")
        return pattern

    def _matches(self, pattern: str, port: Parameter) -> Iterator[CwlObject]:
        directory = self.how.places.directory
        for here in directory.matches(pattern):
            path = self.how.places.outdir + here.removeprefix(directory.root)
            kind = "Directory" if os.path.isdir(here) else "File"  # noqa: PTH112 - a text
            name = os.path.basename(here)  # noqa: PTH119 - a text
            located = files.settled({"class": kind, "location": file_uri(here), "basename": name})
            found: CwlObject = {**located, "path": path}
            yield self._listed(found, port) if kind == "Directory" else self._measured(found, here, port)

    def _listed(self, found: CwlObject, port: Parameter) -> CwlObject:
        listing = (port.output or {}).get("loadListing") or port.details.load_listing or self.how.load_listing
        return files.listing_of(found, deep=listing == "deep_listing") if listing in _LISTINGS else found

    def _measured(self, found: CwlObject, here: str, port: Parameter) -> CwlObject:
        about: CwlObject = {"size": os.stat(here).st_size}  # noqa: PTH116 - a text
        if self.how.places.checksum:
            about["checksum"] = file_checksum(here)
        if (port.output or {}).get("loadContents"):
            about["contents"] = self.how.places.directory.contents(here)
        return {**found, **about}

    def _only(self, found: Any, declared: CwlType, patterns: list[str]) -> Any:
        if not isinstance(found, list):
            return found
        if len(found) == 1:
            return found[0]
        if not found and accepts_null(declared):
            return None
        holds = _holds(Path(self.how.places.directory.root))
        if found and fault(declared, found) is None:
            return found
        if found:
            raise OutputError(
                f"several files match, where one is declared; {holds}.",
                hint="Narrow the glob, or declare an array (type File[]).",
            )
        raise OutputError(
            f"no file matches the glob {', '.join(map(repr, patterns))}; {holds}.",
            hint="Correct the glob, or make the output optional (type File?) if the tool need not write it.",
        )

    def _with_secondary_files(self, found: Any, port: Parameter) -> Any:
        patterns = port.details.secondary_files
        if not patterns:
            return found

        def extended(file: CwlObject) -> CwlObject:
            """Return a file with its secondary files."""
            if file["class"] != "File" or "path" not in file:
                return file
            beside: list[Any] = list(file.get("secondaryFiles") or ())  # type: ignore[arg-type]  # a list by its type
            primary = {**file, "basename": files.basename_of(file), "secondaryFiles": beside}
            has = {files.basename_of(one) for one in beside}
            asked = wanted(patterns, primary, self.how.scope, required=False)
            added = (self._beside(file, one) for one in asked if one.name not in has)
            return {**primary, "secondaryFiles": [*beside, *(one for one in added if one is not None)]}

        return files.map_files(found, extended)

    def _beside(self, primary: CwlObject, asked: Wanted) -> CwlObject | None:
        if asked.given is not None and ("location" in asked.given or "contents" in asked.given):
            return asked.given
        named = (asked.given or {}).get("path", asked.name)
        kind = self.how.places.class_beside(str(primary["path"]), str(named))
        if kind is not None:
            path = os.path.join(os.path.dirname(str(primary["path"])), str(named))  # noqa: PTH118, PTH120 - texts
            return {**(asked.given or {}), "class": kind, "path": path}
        if asked.required:
            raise OutputError(
                f"Missing required secondary file {asked.name} of {primary['basename']}.",
                hint="Let the tool write it beside the file, or leave `required: true` out.",
            )
        return None

    def _with_format(self, file: CwlObject, declared: Any) -> CwlObject:
        found = self.how.scope.evaluate(declared, file)
        if not isinstance(found, str):
            raise ExpressionError(f"format must be a string, {declared} gave {shown(found)}.")
        return {**file, "format": found} if file["class"] == "File" else file


def _record(declared: CwlType) -> Record | None:
    options = declared.options if isinstance(declared, Union) else (declared,)
    found = [option for option in options if isinstance(option, Record)]
    if len(found) != 1 or not any(field.output is not None for field in found[0].fields):
        return None
    return found[0]


def _is_single(declared: CwlType) -> bool:
    options = declared.options if isinstance(declared, Union) else (declared,)
    return any(option in (Plain("File"), Plain("Directory")) for option in options)


def gives_outdir(tool: ToolPlan) -> bool:
    """Check whether an output of a tool is its whole output directory, whose name shows then."""
    return _has_whole_glob(tool.document["outputs"])


def _has_whole_glob(value: JsonValue) -> bool:
    if isinstance(value, list):
        return any(map(_has_whole_glob, value))
    if not isinstance(value, dict):
        return False
    globs = value.get("glob")
    named = any(one in _WHOLE for one in (globs if isinstance(globs, list) else [globs]))
    return named or any(map(_has_whole_glob, value.values()))


@contextmanager
def output_errors(name: str, outdir: str, written: Mapping[str, str]) -> Iterator[None]:
    """Name the call in every error of collecting, and the directory where an output is at fault."""
    try:
        yield
    except RecursionError as error:
        raise OutputError(f"{name}: a value cannot be used: {TOO_DEEP}.", step=name) from error
    except (CwlPrefectError, JavascriptError, OSError) as error:
        found = error if isinstance(error, CwlPrefectError) else readable(error)
        assert found is not None  # noqa: S101 - there are no others
        kind = ExpressionError if isinstance(found, ExpressionError) else OutputError
        where = f"\n  output directory: {outdir}" if kind is OutputError else ""
        ours = kind(f"{name}: {found.message}{where}", step=name, hint=found.hint)
        ours.parts, ours.expression = found.parts, found.expression
        put_place(ours, written)
        raise ours from error


def _holds(outdir: Path) -> str:
    names = sorted(entry.name for entry in outdir.iterdir())
    if not names:
        return "the tool left nothing in its output directory"
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"the output directory holds {', '.join(map(repr, names[:MOST_NAMES]))}{more}"
