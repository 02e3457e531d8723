"""Documents as plain, path-free JSON: what makes two loads of one document equal, wherever it lies."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from cwltool.process import shortname
from cwltool.update import ORIGINAL_CWLVERSION

from cwl_prefect.cwl.loading.places import place_of
from cwl_prefect.cwl.values.plain import plain
from cwl_prefect.errors import Fault, UnsupportedError
from cwl_prefect.model.plan import ProcessClass

_IDENTIFIERS = frozenset({"id", "name", "type", "items", "symbols"})
_TOOL_LEVEL = frozenset(
    {"requirements", "hints", "cwlVersion", ORIGINAL_CWLVERSION, "$namespaces", "$schemas", "id", "doc", "label"}
)
_MOST_NAMED_TYPES = 1000  # of one port; names that name each other may come to any number
_SHA1 = re.compile(r"[0-9a-f]{40}")
_LOCATED = re.compile(r"^(?:file|https?)://[^#]*/([^/#]+)(#.*)?$")
_OF_LOADING = re.compile(r"^file://[^#]*/([^/#]+)(#.+)$")  # what schema-salad makes of a name in a default, as of an id


def canonical_process(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return a process or requirement as plain JSON whose identifiers hold no directory.

    Requirements and hints are left out of a process: the effective ones are kept beside it.
    """
    is_process = "inputs" in node and "outputs" in node
    kept = {key: value for key, value in node.items() if not (is_process and key in _TOOL_LEVEL)}
    document = _without_directories(plain(kept), key=None)
    return _with_stable_streams(document) if is_process else document


def bare_inputs(process: Mapping[str, Any], *, bindings: bool = True) -> dict[str, Any]:
    """Return the input declarations of a process in the form of an ExpressionTool that has no outputs.

    Defaulting, validation, secondaryFiles and loadContents of workflow inputs are then what they are for a tool.
    """
    inputs = [dict(canonical_process(entry)) for entry in process["inputs"]]
    if not bindings:
        for entry in inputs:
            entry.pop("inputBinding", None)
            entry.pop("loadContents", None)
            entry.pop("loadListing", None)
            _strip_field_bindings(entry.get("type"))
    return {"class": "ExpressionTool", "inputs": inputs, "outputs": [], "expression": "$(null)"}


def as_written(declared: Sequence[Any]) -> list[Any]:
    """Return inputs or fields in their author's order; schema-salad sorts those that stand in a map by their names."""
    places = getattr(getattr(declared, "lc", None), "data", None) or {}
    if all(index in places for index in range(len(declared))) and _sorted_by_name(declared):
        return [declared[index] for index in sorted(range(len(declared)), key=lambda index: places[index][:2])]
    return list(declared)


def _sorted_by_name(declared: Sequence[Any]) -> bool:
    names = [shortname(str(entry.get("id") or entry.get("name"))) for entry in declared]
    return names == sorted(names)


def short_type(declared: Any, named: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """Return a type with short names and without bindings, for people and forms.

    Args:
        declared: The type.
        named: Types of SchemaDefRequirement by their names: each stands where it is named, but within itself.
    """
    return _short(declared, named, iter(range(_MOST_NAMED_TYPES)))


def _short(declared: Any, named: Mapping[str, Any], room: Iterator[int]) -> Any:
    if isinstance(declared, str):
        if declared in named and next(room, None) is not None:
            others = {name: found for name, found in named.items() if name != declared}
            return _short(named[declared], others, room)
        return shortname(declared) if "#" in declared or "/" in declared else declared
    if isinstance(declared, Sequence):
        return [_short(item, named, room) for item in declared]
    if not isinstance(declared, Mapping):
        return plain(declared)
    kept = {key: plain(value) for key, value in declared.items() if key in ("label", "doc", "default", "format")}
    kept["type"] = _short(declared["type"], named, room)
    if "items" in declared:
        kept["items"] = _short(declared["items"], named, room)
    if "symbols" in declared:
        kept["symbols"] = [shortname(str(symbol)) for symbol in declared["symbols"]]
    if "name" in declared:
        kept["name"] = shortname(str(declared["name"]))
    if "fields" in declared:
        kept["fields"] = [_short(field, named, room) for field in as_written(declared["fields"])]
    return kept


def _without_directories(value: Any, *, key: str | None, located: re.Pattern[str] = _LOCATED) -> Any:
    if isinstance(value, dict):
        return {
            name: _without_directories(item, key=name, located=_OF_LOADING if name == "default" else located)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_without_directories(item, key=key, located=located) for item in value]
    if key in _IDENTIFIERS and isinstance(value, str) and (found := located.match(value)) and "w3id.org" not in value:
        return found.group(1) + (found.group(2) or "")
    return value


def _with_stable_streams(document: dict[str, Any]) -> dict[str, Any]:
    """Name unnamed stdout and stderr by the tool's content; cwltool names them by a text that holds its path."""
    named = {stream: document.get(stream) for stream in ("stdout", "stderr")}
    unnamed = {stream: name for stream, name in named.items() if isinstance(name, str) and _SHA1.fullmatch(name)}
    if not unnamed:
        return document
    content = text = json.dumps(document, sort_keys=True)
    for stream, name in unnamed.items():
        content = content.replace(name, stream)
    for stream, name in unnamed.items():
        text = text.replace(name, hashlib.sha1(f"{stream} {content}".encode(), usedforsecurity=False).hexdigest())
    return dict(json.loads(text))


def _strip_field_bindings(declared: Any) -> None:
    if isinstance(declared, list):
        for item in declared:
            _strip_field_bindings(item)
    if isinstance(declared, dict):
        declared.pop("inputBinding", None)
        for key in ("type", "items", "fields"):
            _strip_field_bindings(declared.get(key))


def process_class(document: Mapping[str, Any]) -> ProcessClass:
    """Return what kind of process a document that is no Workflow describes.

    Raises:
        UnsupportedError: It is of a class that an extension has added to CWL.
    """
    found = shortname(str(document["class"]))
    for known in ProcessClass:
        if found == known:
            return known
    kinds = ", ".join(("Workflow", *ProcessClass))
    text = f"class: {found} is of an extension of CWL, which cannot be run; expected one of {kinds}"
    fault = Fault(place=place_of(document, "class"), text=text)
    raise UnsupportedError(str(fault), faults=(fault,))
