"""Values that are not known yet: what an expression reads of them shows while it is evaluated, not in its text."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MARK = "cwl-prefect: not known yet: "


@dataclass(frozen=True, slots=True)
class Unknown:
    """Stands for the value of a port."""

    port: str


class UnknownValueError(Exception):
    """An expression read a value that is not known yet.

    Attributes:
        port: Whose value it is.
    """

    def __init__(self, port: str) -> None:
        super().__init__(f"{_MARK}{port}")
        self.port = port


def check_known(path: tuple[str | int, ...], variables: Mapping[str, Any]) -> None:
    """Raise UnknownValueError where a parameter reference reads a value that is not known yet."""
    value = variables.get(str(path[0]))
    read = [value] if len(path) == 1 or isinstance(value, Unknown) else []
    if isinstance(value, Mapping):
        read += value.values() if len(path) == 1 else [value.get(path[1])]
    for each in read:
        if isinstance(each, Unknown):
            raise UnknownValueError(each.port)


def declaration(name: str, value: Any) -> str:
    """Return the JavaScript that declares a variable; to read what is not known yet throws."""
    if isinstance(value, Unknown):
        return _throwing("globalThis", name, value)
    unknown = {key: item for key, item in value.items() if isinstance(item, Unknown)} if isinstance(value, dict) else {}
    known = {key: item for key, item in value.items() if key not in unknown} if unknown else value
    throwing = (_throwing(name, key, item) for key, item in unknown.items())
    return "\n".join([f"var {name} = {json.dumps(known)};", *throwing])


def _throwing(owner: str, name: str, value: Unknown) -> str:
    thrown = f"get() {{ throw new Error({json.dumps(_MARK + value.port)}); }}"
    return f"Object.defineProperty({owner}, {json.dumps(name)}, {{enumerable: true, {thrown}}});"


def unknown_read(message: str) -> UnknownValueError | None:
    """Return what JavaScript threw by reading what is not known yet, or None where it threw something else."""
    _, mark, rest = message.partition(_MARK)
    return UnknownValueError(rest.splitlines()[0].split(" (line")[0]) if mark else None
