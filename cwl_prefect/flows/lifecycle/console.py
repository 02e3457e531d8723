"""Let a run outlive whoever reads its log lines."""

import logging
from functools import partial

from prefect.logging.handlers import PrefectConsoleHandler


def outlive_readers() -> None:
    """Let no log line end this process because nobody reads its output any more.

    A worker that is killed leaves a flow run's process with a broken pipe. Rich, by which Prefect writes to consoles,
    ends a process then (``Console.on_broken_pipe``); a run goes on, and its log goes on in Prefect's API.
    """
    known = [logging.root, *logging.root.manager.loggerDict.values()]
    for logger in known:
        for handler in logger.handlers if isinstance(logger, logging.Logger) else ():
            if isinstance(handler, PrefectConsoleHandler):
                fall_silent = partial(setattr, handler.console, "quiet", True)  # noqa: FBT003 - a value
                handler.console.on_broken_pipe = fall_silent  # type: ignore[method-assign]
