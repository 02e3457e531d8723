"""How much memory calls turned out to need, remembered from run to run."""

import contextlib
import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import JsonValue, TypeAdapter, ValidationError

from cwl_prefect.model.plan import ToolPlan
from cwl_prefect.model.values import CwlObject
from cwl_prefect.whole_file import write_whole

_logger = logging.getLogger(__name__)
_AMOUNTS: TypeAdapter[dict[str, float]] = TypeAdapter(dict[str, float])


class MemoryRecord:
    """Remembers requests that were raised because a tool ran out of memory: one small file for each such tool.

    A call is told from others of its tool by its inputs, files by name and size, so that one large sample does not
    make every small one ask for as much.

    Args:
        directory: Where the files are.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[str, dict[str, float]] = {}

    def least_mib(self, tool: ToolPlan, values: CwlObject) -> float | None:
        """Give what a call needs at least by what is remembered, or None."""
        known = self._of(tool)
        return known.get(_fingerprint(values)) if known else None

    def remember(self, tool: ToolPlan, values: CwlObject, ram_mib: float) -> None:
        """Remember what a call needs at least; what cannot be written is told to the log."""
        path = self._path(tool)
        known = _read(path) | {_fingerprint(values): ram_mib}
        self._known[tool.digest] = known
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(known).encode())
        except OSError as error:
            _logger.warning("what %s needs cannot be remembered: %s", tool.name, error)

    def _of(self, tool: ToolPlan) -> dict[str, float]:
        found = self._known.get(tool.digest)
        if found is None:
            found = self._known[tool.digest] = _read(self._path(tool))
        return found

    def _path(self, tool: ToolPlan) -> Path:
        return self._directory / f"{hashlib.sha256(tool.digest.encode()).hexdigest()[:32]}.json"


def _read(path: Path) -> dict[str, float]:
    try:
        return _AMOUNTS.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return {}


def _fingerprint(values: CwlObject) -> str:
    text = json.dumps(_plain(values), sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _plain(value: JsonValue) -> JsonValue:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if value.get("class") in ("File", "Directory"):
        return [value.get("class"), value.get("basename"), value.get("size") or _size(str(value.get("location") or ""))]
    return {key: _plain(item) for key, item in value.items()}


def _size(location: str) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        address = urlsplit(location)
        if address.scheme in ("", "file"):
            return Path(unquote(address.path)).stat().st_size
    return None
