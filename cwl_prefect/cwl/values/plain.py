"""Parsed YAML as plain dicts, lists and numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from ruamel.yaml.scalarfloat import ScalarFloat


def plain(value: Any) -> Any:
    """Copy a parsed document into dicts and lists without line numbers."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, str)):
        return value if not isinstance(value, str) else str(value)
    if isinstance(value, int):
        return int(value)
    return plain_float(value) if isinstance(value, float) else str(value)


def plain_float(value: float) -> float | int:
    """Return a parsed number without its notation; a whole number in scientific notation becomes an integer.

    cwltool writes ``1.23e5`` on a command line as 123000, and ``123000.0`` as it stands.
    """
    scientific = isinstance(value, ScalarFloat) and getattr(value, "_exp", None) is not None  # it has no public name
    return int(value) if scientific and value.is_integer() else float(value)
