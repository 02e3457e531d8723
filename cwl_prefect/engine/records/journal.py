"""What a run looked up in the call cache, call by call, for whoever asks later why something ran again."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import TypeAdapter

from cwl_prefect._lib.own_files import make_private, open_private
from cwl_prefect.engine.records.lines import read_lines
from cwl_prefect.model.cache import CallKey
from cwl_prefect.model.json_text import dumps
from cwl_prefect.model.values import CwlObject

LOOK_UPS = "lookups.jsonl"
"""File of a journal, beside the trace of its run."""


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
        path: Its file; None where nothing is to be recorded.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stream: BinaryIO | None = None

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
            with suppress(OSError):
                self._stream.close()
            self._stream = None

    def _write(self, line: dict[str, object]) -> None:
        if self._path is None:
            return
        try:
            if self._stream is None:
                make_private(self._path.parent)
                self._stream = open(self._path, "ab", opener=open_private)  # noqa: SIM115
            self._stream.write(dumps({"at": round(time.time(), 3), **line}) + b"\n")
        except OSError:
            self._path = None


def read_journal(run: Path) -> Iterator[LookedUp]:
    """Return the calls of the run whose trace is in a directory, in order.

    A line that was cut short by a crash is left out.
    """
    with suppress(OSError):
        yield from read_lines(run / LOOK_UPS, _LINES)


_LINES = TypeAdapter(LookedUp)
