"""CWL values as plain JSON: what flows along the links of a workflow."""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias, cast

from pydantic import JsonValue

CwlValue: TypeAlias = JsonValue
"""Any CWL value: JSON, in which a mapping whose ``class`` is File or Directory stands for a file system object."""

CwlObject: TypeAlias = dict[str, JsonValue]
"""A CWL object such as a job order, an output object or a File."""

FILE_CLASSES = frozenset({"File", "Directory"})


def is_file_object(value: CwlValue) -> bool:
    """Tell whether a value is a File or Directory object (CWL v1.2 Workflow, §File, §Directory)."""
    return isinstance(value, dict) and value.get("class") in FILE_CLASSES


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
    """Give a mapping as a CWL object, without copying a plain dict."""
    if isinstance(value, dict):
        return cast("CwlObject", value)
    if isinstance(value, Mapping):
        return dict(value)
    msg = f"expected a mapping, found {type(value).__name__}"
    raise TypeError(msg)
