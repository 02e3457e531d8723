"""Parameter references, followed without any JavaScript (CWL CommandLineTool, §Parameter references)."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from cwl_prefect.cwl.javascript.engine import JavascriptError

Path = tuple[str | int, ...]

_SEGMENT = r"""\.\w+|\['(?:[^'\\]|\\.)+'\]|\["(?:[^"\\]|\\.)+"\]|\[\d+\]"""
_SEGMENTS = re.compile(_SEGMENT)
_REFERENCE = re.compile(rf"\((\w+)((?:{_SEGMENT})*)\)")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class BrokenReferenceError(JavascriptError):
    """A reference names what does not exist; as JavaScript it may still mean something."""


@lru_cache(maxsize=1024)
def parse(source: str) -> Path | None:
    """Return the names and numbers of a reference in parentheses, or None where it is none."""
    found = _REFERENCE.fullmatch(source)
    if found is None:
        return None
    return (found[1], *(_key(segment) for segment in _SEGMENTS.findall(found[2])))


def follow(path: Path, variables: Mapping[str, Any]) -> Any:
    """Return what a reference names.

    Raises:
        BrokenReferenceError: It names what does not exist.
    """
    if path == ("null",):
        return None
    if path[0] not in variables:
        known = ", ".join(variables)
        raise BrokenReferenceError(
            f"{path[0]} is unknown here", hint=f"A parameter reference begins with one of {known}."
        )
    value = variables[str(path[0])]
    for depth, key in enumerate(path[1:], start=1):
        value = _inner(value, key, path[:depth], last=depth == len(path) - 1)
    return value


def written(path: Path) -> str:
    """Return a reference as people write it."""
    first, *rest = path
    return f"{first}{''.join(f'[{key}]' if isinstance(key, int) else _dotted(key) for key in rest)}"


def _dotted(key: str) -> str:
    return f".{key}" if re.fullmatch(r"\w+", key) else f"[{key!r}]"


def _key(segment: str) -> str | int:
    if segment.startswith("."):
        return segment[1:]
    return int(segment[1:-1]) if segment[1].isdigit() else _ESCAPED.sub(r"\1", segment[2:-2])


def _inner(value: Any, key: str | int, path: Path, *, last: bool) -> Any:
    if isinstance(value, Mapping) and key in value:
        return value[key]
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    if is_list and isinstance(key, int) and key < len(value):
        return value[key]
    if is_list and key == "length" and last:
        return len(value)
    where = written(path)
    if value is None:
        raise BrokenReferenceError(f"{where} is null, so that it has no {key!r}")
    if is_list and isinstance(key, int):
        raise BrokenReferenceError(f"{where} has {len(value)} items, so that there is none of number {key}")
    has = f"; it has {', '.join(map(str, value))}" if isinstance(value, Mapping) and len(value) <= _MOST_KEYS else ""
    raise BrokenReferenceError(f"{where} has no {key!r}{has}")


_MOST_KEYS = 12
