"""CWL values as plain JSON: what flows along the links of a workflow."""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias, TypeVar, cast

from pydantic import JsonValue

T = TypeVar("T")

CwlValue: TypeAlias = JsonValue
"""Any CWL value: JSON, in which a mapping whose ``class`` is File or Directory stands for a file system object."""

CwlObject: TypeAlias = dict[str, JsonValue]
"""A CWL object such as a job order, an output object or a File."""

JobOrder: TypeAlias = str | Path | Mapping[str, object]
"""Values of inputs by their ids, or the path or URL of a file that holds them."""


REFERENCE = "$ref"
"""Key of a job order, or of a flow run's parameters, whose value is where another lies, which the rest goes over."""


class WrittenJobOrder(CwlObject):
    """A job order as CWL has it, as a file of one says it: a text in it is never a path."""


FILE_CLASSES = ("File", "Directory")  # no set, which a class that is no text could not be looked up in

MOST_NESTED = 100
"""How deep values, documents and output directories may be nested."""

TOO_DEEP = f"it is nested deeper than {MOST_NESTED} levels"

LARGEST_TOLD = 256 * 1024
"""Bytes of JSON of the largest object that is told by a line of a trace or by an event; Prefect takes 1.5 MB."""

# Those from U+DC80 to U+DCFF stand for the bytes of file names that are no text, as Python has them.
_HALF_CHARACTER = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_MOST_QUOTED = 60  # characters
_TEXTS = ("location", "path", "basename", "contents", "format", "checksum")
_INNER = ("secondaryFiles", "listing")


def is_text(found: str) -> bool:
    """Check whether a text can be written in UTF-8: one of the command line or a file's name may hold other bytes."""
    return found.isascii() or not any("\ud800" <= character <= "\udfff" for character in found)


def in_utf8(text: str) -> str:
    """Return a text that can be written in UTF-8: with a question mark for each byte that is no text."""
    return text.encode(errors="replace").decode()


def shown_value(value: T, most: int) -> T | None:
    """Return a value of JSON as an API takes it, whose texts are in UTF-8; None where it has more characters."""
    text = json.dumps(value)
    if len(text) > most:
        return None
    if "\\ud" not in text:
        return value
    whole: T = json.loads(in_utf8(json.dumps(value, ensure_ascii=False)))
    return whole


def unusable(value: object, *, files: bool = True, numbers: bool = True) -> str | None:
    """Return why a value that comes from outside cannot be used, or None where it can.

    It may be nested too deeply, hold what is no text or no number of JSON, or have a File or Directory that is none by
    its fields.

    Args:
        value: The value.
        files: Whether to look at the fields of files; in documents they may be expressions.
        numbers: Whether to look at numbers; those of documents are told with their places.
    """
    waiting = [(value, 1)]
    while waiting:
        found, depth = waiting.pop()
        if isinstance(found, str):
            if not found.isascii() and _HALF_CHARACTER.search(found):
                return f"{found[:_MOST_QUOTED]!r} holds half of a character, which no text may"
        elif isinstance(found, float):
            if numbers and not math.isfinite(found):
                return f"{json.dumps(float(found))} is no number of JSON, as values of CWL are: use null or a string"
        elif isinstance(found, dict | list):
            if depth > MOST_NESTED:
                return TOO_DEEP
            waiting.extend((part, depth + 1) for part in found)
            if isinstance(found, dict):
                waiting.extend((part, depth + 1) for part in found.values())
                if files and (reason := _wrong_field(found)):
                    return reason
    return None


def _wrong_field(found: dict[object, object]) -> str | None:
    kind = found.get("class")
    if kind not in FILE_CLASSES:
        return None
    for field in _TEXTS:
        text = found.get(field)
        if text is not None and (not isinstance(text, str) or (field != "contents" and "\0" in text)):
            shown = repr(text[:_MOST_QUOTED]) if isinstance(text, str) else str(text)[:_MOST_QUOTED]
            return f"the {field} of a {kind}: expected string, found {shown}"
    for field in _INNER:
        inner = found.get(field)
        if inner is not None and not (isinstance(inner, list) and all(map(is_file_object, inner))):
            return f"the {field} of a {kind}: expected an array of File and Directory"
    return None


def is_file_object(value: object) -> bool:
    """Check whether a value is a File or Directory object (CWL v1.2 Workflow, §File, §Directory)."""
    return isinstance(value, dict) and value.get("class") in FILE_CLASSES


def is_nothing_but_files(value: CwlValue) -> bool:
    """Check whether a value is a File, a Directory, null, or an array of such, however nested."""
    if isinstance(value, list):
        return all(map(is_nothing_but_files, value))
    return value is None or is_file_object(value)


def file_objects(value: CwlValue) -> Iterator[CwlObject]:
    """Yield every File and Directory in a value, each before its secondaryFiles and listing."""
    if isinstance(value, list):
        for item in value:
            yield from file_objects(item)
        return
    if not isinstance(value, dict):
        return
    if is_file_object(value):
        yield value
        yield from file_objects(value.get("secondaryFiles"))
        yield from file_objects(value.get("listing"))
        return
    for item in value.values():
        yield from file_objects(item)


def map_file_objects(value: CwlValue, change: Callable[[CwlObject], CwlObject]) -> CwlValue:
    """Copy a value with every File and Directory replaced, innermost (secondaryFiles, listing) first."""
    if isinstance(value, list):
        return [map_file_objects(item, change) for item in value]
    if not isinstance(value, dict):
        return value
    if not is_file_object(value):
        return {name: map_file_objects(item, change) for name, item in value.items()}
    inner = {
        name: map_file_objects(item, change) if name in ("secondaryFiles", "listing") else item
        for name, item in value.items()
    }
    return change(inner)


def as_object(value: object) -> CwlObject:
    """Return a mapping as a CWL object, without copying a plain dict."""
    if isinstance(value, dict):
        return cast("CwlObject", value)
    if isinstance(value, Mapping):
        return dict(value)
    msg = f"expected a mapping, found {type(value).__name__}"
    raise TypeError(msg)


def bounded(value: CwlValue) -> CwlValue:
    """Return a job order or an output object, or None where it is too large to be told by a line or an event."""
    return value if len(json.dumps(value)) <= LARGEST_TOLD else None


_KINDS = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
}


def kind(value: object) -> str:
    """Return what a value is in words of CWL, as ``a string``."""
    if isinstance(value, dict):
        return f"a {value['class']}" if value.get("class") in FILE_CLASSES else "an object"
    return _KINDS.get(type(value), "no value of CWL")
