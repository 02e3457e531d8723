"""What a run looked up in the call cache, call by call, for whoever asks later why something ran again."""

import json
from pathlib import Path
from typing import TextIO

from cwl_prefect.model.cache import CallKey


class Journal:
    """Writes one line of JSON for each call that was looked up; a journal that cannot be written is done without.

    Args:
        path: Its file, below the journals of all runs.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: TextIO | None = None
        self._broken = False

    def found(self, step: str, call: str, key: CallKey) -> None:
        """Note a hit."""
        self._write({"step": step, "call": call, "key": key.digest, "hit": True})

    def missed(self, step: str, call: str, key: CallKey) -> None:
        """Note a call that is not in the cache, with what its key is made of."""
        self._write({"step": step, "call": call, "key": key.digest, "hit": False, "parts": key.parts})

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
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._stream = self._path.open("a", encoding="utf-8")
            self._stream.write(json.dumps(line) + "\n")
        except OSError:
            self._broken = True
