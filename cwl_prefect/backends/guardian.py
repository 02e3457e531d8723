"""Processes that end with their driver, even if it is killed and can do nothing for that any more."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_SCRIPT = Path(__file__).with_name("guardian_process.py")
_END_S = 5.0


class Guardian:
    """Knows the processes that a driver started, and outlives it just long enough to end them.

    It is a process of its own, made with the first process that it guards; where it cannot be made or is killed
    itself, processes are started all the same.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: BinaryIO | None = None

    def started(self, leader: int) -> None:
        """Guard a session leader with all that it starts."""
        if self._process is None:
            self._begin()
        self._tell(f"+{leader}\n")

    def ended(self, leader: int) -> None:
        """Guard a process no longer; to be called while its number is still its own."""
        self._tell(f"-{leader}\n")

    def close(self) -> None:
        """End the guardian, with whatever it guards."""
        if self._pipe is not None:
            with suppress(OSError):
                self._pipe.close()
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
        self._process = self._pipe = None

    def _begin(self) -> None:
        with suppress(OSError):
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_SCRIPT)],
                cwd="/",
                env={},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                bufsize=0,
            )
            self._pipe = self._process.stdin  # type: ignore[assignment]  # typed as buffered, which it is not

    def _tell(self, line: str) -> None:
        if self._pipe is not None:
            with suppress(OSError):
                self._pipe.write(line.encode())
