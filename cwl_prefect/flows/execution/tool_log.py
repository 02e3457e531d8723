"""Lines that a tool prints, sent to the run's log while it runs; files keep every byte."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

from cwl_prefect.engine.outputs.tail import Follower
from cwl_prefect.engine.records.secrets import text_without

INTERVAL_S = 2.0


@contextmanager
def followed(path: Path, *, name: str, most: int, secret: Sequence[str]) -> Iterator[None]:
    """Send the lines of a file to the run's log while a call runs, and what is left at its end.

    Args:
        path: What the tool prints to.
        name: Name of the call, before each message.
        most: How many lines are sent in all; with 0 the file is not looked at.
        secret: Texts that are not sent.
    """
    if not most:
        yield
        return
    following = _Following(Follower(path, most=most), name, secret)
    try:
        yield
    finally:
        following.end()


class _Following:
    """Looks at a file again and again, by a timer: a task for each call would cost it more."""

    def __init__(self, follower: Follower, name: str, secret: Sequence[str]) -> None:
        self._follower, self._name, self._secret = follower, name, secret
        self._next_look = self._later()

    def end(self) -> None:
        """Look at it for the last time."""
        self._next_look.cancel()
        _send(self._follower.more(ended=True), self._name, self._secret)

    def _later(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(INTERVAL_S, self._look)

    def _look(self) -> None:
        _send(self._follower.more(ended=False), self._name, self._secret)
        self._next_look = self._later()


def _send(lines: list[str], name: str, secret: Sequence[str]) -> None:
    if not lines:
        return
    with contextlib.suppress(MissingContextError):
        get_run_logger().info("%s: %s", name, text_without("\n".join(lines), secret))
