"""What a run looked up in the call cache, call by call, for whoever asks later why something ran again."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from pydantic import TypeAdapter, ValidationError

from cwl_prefect._lib.own_files import make_private, open_private
from cwl_prefect.model.cache import CallKey
from cwl_prefect.model.values import CwlObject


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedUp:
    """One call of a run.

    Attributes:
        step: Path of its step.
        call: Its name.
        key: Its key, or None where it has none.
        hit: Whether it was found.
        at: When.
        parts: What its key is made of, where it was not found.
        reason: Why it cannot be cached.
        refreshed: Whether it was to run although it is cached.
    """

    step: str
    call: str
    key: str | None
    hit: bool
    at: float
    parts: CwlObject | None = None
    reason: str | None = None
    refreshed: bool = False


class Journal:
    """Writes one line of JSON for each call that was looked up; a journal that cannot be written is done without.

    Args:
        path: Its file, below the journals of all runs.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: TextIO | None = None
        self._broken = False

    def began(self, name: str, workflow: str) -> None:
        """Note what the run is called."""
        self._write({"run": name, "workflow": workflow})

    def found(self, step: str, call: str, key: CallKey) -> None:
        """Note a hit."""
        self._write({"step": step, "call": call, "key": key.digest, "hit": True})

    def missed(self, step: str, call: str, key: CallKey, *, refreshed: bool = False) -> None:
        """Note a call that is not in the cache, or was to run although it is, with what its key is made of."""
        told = {"step": step, "call": call, "key": key.digest, "hit": False, "parts": key.parts}
        self._write(told | ({"refreshed": True} if refreshed else {}))

    def refused(self, step: str, call: str, reason: str) -> None:
        """Note a call that cannot be cached."""
        self._write({"step": step, "call": call, "key": None, "hit": False, "reason": reason})

    def close(self) -> None:
        """Write what is still to be written."""
        if self._stream is not None:
            try:
                self._stream.close()
            except OSError:
                self._broken = True
            self._stream = None

    def _write(self, line: dict[str, object]) -> None:
        if self._broken:
            return
        try:
            if self._stream is None:
                make_private(self._path.parent)
                self._stream = open(self._path, "a", encoding="utf-8", opener=open_private)  # noqa: SIM115
            self._stream.write(json.dumps({"at": round(time.time(), 3), **line}) + "\n")
        except OSError:
            self._broken = True


def journal_of(journals: Path, run: str) -> list[Path]:
    """Find the journals of a run: by its id, the beginning of the id, or its name; ``last`` is the latest run."""
    every = sorted(journals.glob("*.jsonl"), key=lambda path: path.stat().st_mtime, reverse=True)
    if run == "last":
        return every[:1]
    exact = [path for path in every if path.stem == run or run_name(path) == run]
    return exact or [path for path in every if path.stem.startswith(run)]


def run_name(journal: Path) -> str | None:
    """Return the name of a journal's run."""
    try:
        with journal.open(encoding="utf-8") as stream:
            first = json.loads(stream.readline())
    except (OSError, ValueError):
        return None
    name = first.get("run") if isinstance(first, dict) else None
    return name if isinstance(name, str) else None


def read_journal(journal: Path) -> Iterator[LookedUp]:
    """Return the calls of a run, in order; a line that was cut short by a crash is left out."""
    try:
        lines = journal.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            yield _LINES.validate_json(line)
        except ValidationError:
            continue


_LINES = TypeAdapter(LookedUp)
