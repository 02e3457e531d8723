"""What a value should have been and what it is, in words of CWL."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from cwl_prefect._lib.locations import is_remote, name_of
from cwl_prefect.cwl.values.types import ANY, NO_FIT, Array, CwlType, Enum, Parameter, Plain, Record, Union, fit

LONGEST_VALUE = 80  # characters of a value that is quoted in an error


def fault(declared: CwlType, value: Any) -> str | None:
    """Return what keeps a value from being of a type, as ``expected int, found true``; None where it is of the type."""
    return None if fit(declared, value) != NO_FIT else next(_reasons(declared, value))


def shown(value: Any) -> str:
    """Return a value as people speak of it: what is short as it stands in a job order, the rest by its kind."""
    if isinstance(value, dict) and value.get("class") in ("File", "Directory"):
        place = str(value.get("path") or value.get("location") or "")
        name = value.get("basename") or (name_of(place) if is_remote(place) else place.rpartition("/")[2])
        return f"the {value['class']} {name}".rstrip()
    if isinstance(value, dict):
        return f"an object with {_shortened(', '.join(map(str, value)))}" if value else "an object without fields"
    if isinstance(value, list):
        return f"an array of {len(value)} items" if len(value) != 1 else f"an array of one item, {shown(value[0])}"
    return _shortened(json.dumps(value, default=str, ensure_ascii=False))


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def written(declared: CwlType) -> str:
    """Return a type as people write it."""
    match declared:
        case Plain(name=name):
            return name
        case Enum(symbols=symbols):
            return f"one of {', '.join(symbols)}"
        case Array(items=items):
            inner = written(items)
            return f"{inner}[]" if isinstance(items, Plain) else f"array of {inner}"
        case Record(fields=fields):
            return f"record with {', '.join(known.name for known in fields)}"
        case Union(options=options):
            return " or ".join(dict.fromkeys(map(written, options)))


def _reasons(declared: CwlType, value: Any) -> Iterator[str]:
    """Yield what is wrong, the most telling first."""
    match declared:
        case Union(options=options):
            alike = [option for option in options if _is_alike(option, value)]
            if len(alike) == 1:
                yield from _reasons(alike[0], value)
        case Array(items=items):
            yield from _reasons_of_array(items, value)
        case Record(fields=fields) if isinstance(value, dict):
            yield from _reasons_of_record(fields, value)
        case Plain(name="int") if isinstance(value, int) and not isinstance(value, bool):
            yield f"expected int, which has 32 bits, found {value}: declare it as long"
        case Plain(name="File" | "Directory") if isinstance(value, dict) and "class" not in value:
            yield "missing required field 'class'"
        case Plain(name="File" | "Directory" as name) if isinstance(value, str):
            yield f"expected {name}, found {shown(value)}: write {{class: {name}, path: {_shortened(value)}}}"
    yield f"expected {written(declared)}, found {shown(value)}"


def _reasons_of_array(items: CwlType, value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            if fit(items, item) == NO_FIT:
                yield from (f"item {number + 1}: {reason}" for reason in _reasons(items, item))
    elif isinstance(value, str) and isinstance(items, Plain) and items.name in {"File", "Directory"}:
        kind = items.name
        yield f"expected {kind}[], found {shown(value)}: write [{{class: {kind}, path: {_shortened(value)}}}]"
    elif value is not None and fit(items, value) != NO_FIT:
        yield f"expected {written(Array(items=items))}, found {shown(value)}: write a list, also of one"


def _reasons_of_record(fields: tuple[Parameter, ...], value: Mapping[str, Any]) -> Iterator[str]:
    for known in fields:
        given = value.get(known.name)
        if given is None and known.default is None and fit(known.type, None) == NO_FIT and known.type != ANY:
            yield f"missing required field {known.name!r}"
        elif given is not None and fit(known.type, given) == NO_FIT:
            yield from (f"field {known.name}: {reason}" for reason in _reasons(known.type, given))


def _is_alike(option: CwlType, value: Any) -> bool:
    match option:
        case Array():
            return isinstance(value, list)
        case Record():
            return isinstance(value, dict) and value.get("class") not in ("File", "Directory")
        case Plain(name="File" | "Directory"):
            return isinstance(value, dict) and "class" not in value
        case Plain(name="boolean" | "int" | "long" | "float" | "double" | "string"):
            return isinstance(value, str | int | float)
        case _:
            return False
