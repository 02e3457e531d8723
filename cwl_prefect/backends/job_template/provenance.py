"""Where each field of a container came from: which of several ever more complete configurations first had it so."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from pydantic import JsonValue

from cwl_prefect.backends.job_template.tool_environment import looks_secret

FieldPath: TypeAlias = tuple[str | int, ...]
"""Keys and positions that lead to a field."""

HIDDEN = "(hidden)"
"""Stands for a credential."""

_KEYS = ("name", "Target", "mountPath", "key")
_LOGIN = re.compile(r"(?<=://)[^/?#\s]+@")  # an @ of a password may stand as it is
_BLOCK = re.compile(r"\{\{\s*prefect\.blocks\.([^}]*?)\s*\}\}")


def fields(value: JsonValue, path: FieldPath = ()) -> Iterator[tuple[FieldPath, FieldPath, JsonValue]]:
    """Yield every field that holds no others: its path, a path to compare by, and its value.

    Entries of a list that have names are compared by these, so that one more entry does not make all others look new.
    """
    yield from _fields(value, path, path)


def origins(stages: Sequence[tuple[str, JsonValue]]) -> dict[FieldPath, str]:
    """Return for each field of the last configuration from which stage on it has been what it is.

    Args:
        stages: Configurations of one container, each with what was added to the one before; at least one.
    """
    seen = [{compared: value for _, compared, value in fields(configuration)} for _, configuration in stages]
    found: dict[FieldPath, str] = {}
    for path, compared, value in fields(stages[-1][1]):
        first = len(stages) - 1
        while first > 0 and compared in seen[first - 1] and seen[first - 1][compared] == value:
            first -= 1
        found[path] = stages[first][0]
    return found


def without_secrets(value: JsonValue, name: str = "") -> JsonValue:
    """Hide texts whose name says that they are credentials, also in ``{"name": …, "value": …}``, and logins in URLs."""
    if isinstance(value, dict):
        named = value.get("name")
        own = named if isinstance(named, str) and "value" in value else ""
        return {key: without_secrets(item, own if key == "value" and own else key) for key, item in value.items()}
    if isinstance(value, list):
        return [without_secrets(item, name) for item in value]
    if not isinstance(value, str) or not value:
        return value
    return HIDDEN if looks_secret(name) else _LOGIN.sub(f"{HIDDEN}@", value)


def without_blocks(value: JsonValue) -> JsonValue:
    """Put the name of a Prefect block in place of what it holds, so that it is never read."""
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, Mapping) and "block_document_id" in reference:
            return None
        return {key: without_blocks(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_blocks(item) for item in value]
    return _BLOCK.sub(lambda match: f"(Prefect block {match[1]})", value) if isinstance(value, str) else value


def whole_blocks(variables: Mapping[str, JsonValue]) -> frozenset[str]:
    """Name the job variables that are nothing but a block."""
    return frozenset(
        name for name, value in variables.items() if isinstance(value, str) and _BLOCK.fullmatch(value.strip())
    )


def _fields(value: JsonValue, path: FieldPath, compared: FieldPath) -> Iterator[tuple[FieldPath, FieldPath, JsonValue]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _fields(item, (*path, key), (*compared, key))
    elif isinstance(value, list) and (names := _names(value)):
        for number, (name, item) in enumerate(zip(names, value, strict=True)):
            yield from _fields(item, (*path, number), (*compared, name))
    else:
        yield path, compared, value


def _names(items: list[JsonValue]) -> list[str] | None:
    """Return the names of a list's entries, if all have one and no two the same."""
    for key in _KEYS:
        found = (item.get(key) for item in items if isinstance(item, dict))
        names = [name for name in found if isinstance(name, str)]
        if names and len(set(names)) == len(items):
            return names
    return None
