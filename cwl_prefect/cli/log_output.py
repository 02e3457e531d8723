"""Which log lines reach the terminal: warnings, or everything when asked for; the Prefect API receives all of them."""

import logging
import sys
import threading

from cwl_prefect.cli.json_lines import JsonLines
from cwl_prefect.cli.terminal import printable, write_messages_as
from cwl_prefect.server.local_server import configured_api

TOLD_OTHERWISE = ("prefect.flow_runs", "prefect.task_runs", "opentelemetry")
PREFECTS_LOGGERS = ("prefect", "APILogWorker", "EventsWorker")
PACKAGE = "cwl_prefect"
ENGINE_ROOM = "prefect._internal.concurrency"  # what sends events; it writes to a console of its own
QUIET_LOGGERS = ("cwltool", "salad", "rdflib.term", "httpx", "httpcore", "docker", "urllib3", "asyncio")

_logger = logging.getLogger(__name__)


class Text(logging.Formatter):
    """Writes level and message, for people.

    Args:
        tracebacks: Whether tracebacks follow.
    """

    def __init__(self, *, tracebacks: bool) -> None:
        super().__init__("%(message)s")
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        return f"{record.levelname.lower()}: {super().format(record) if self._tracebacks else record.getMessage()}"


class Json(logging.Formatter):
    """Writes a line of JSON.

    Args:
        lines: Makes them.
    """

    def __init__(self, lines: JsonLines) -> None:
        super().__init__()
        self._lines = lines

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        return self._lines.record(record)


def worth_showing(record: logging.LogRecord) -> bool:
    """Check whether a record says something that the run's own report does not.

    The engine's loggers of runs repeat every failure, with tracebacks; the Prefect API keeps what they say. What could
    not be sent to a collector of telemetry is told once, at the end of the run.
    """
    if record.name.startswith(TOLD_OTHERWISE):
        return False
    return record.levelno >= logging.ERROR or not record.name.startswith(PREFECTS_LOGGERS)


class ToldOnce(logging.Filter):
    """Says once and in words that something did not reach the API, where Prefect would print each whole event.

    Whoever looks after the local server says that of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Let no record pass."""
        if record.levelno >= logging.ERROR and not self._told and configured_api() is not None:
            self._told = True
            _logger.warning("Prefect's API could not be told all that happened; its log and timeline may have gaps.")
        return False


def tell_of_thread(failed: threading.ExceptHookArgs) -> None:
    """Log in a line that a thread failed, where Python would print a traceback; to be Python's hook for that."""
    if failed.exc_type is SystemExit:
        return
    name = "a thread" if failed.thread is None else f"the thread {failed.thread.name}"
    raised = (failed.exc_type, failed.exc_value or failed.exc_type(), failed.exc_traceback)
    _logger.warning("%s failed: %s: %s", name, failed.exc_type.__name__, failed.exc_value, exc_info=raised)


class StandardErrorHandler(logging.Handler):
    """Writes to whatever standard error is at the moment, so that a live display can make room for the line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            sys.stderr.write(f"{printable(self.format(record))}\n")
        except (OSError, ValueError):
            return  # nobody reads it


def configure_logging(*, quiet: bool = False, verbose: bool = False, lines: JsonLines | None = None) -> None:
    """Send log lines to standard error and never elsewhere; to be called before Prefect is imported and after.

    Prefect's own console handler keeps the stream it found on import, which would tear a live display apart.

    Args:
        quiet: Only errors.
        verbose: All of this program, and of Prefect.
        lines: Makes lines of JSON of them, and of all messages for people; None: they are text.
    """
    write_messages_as(str if lines is None else lines.message)
    level = logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING
    root = logging.getLogger()
    for handler in list(root.handlers):
        if type(handler).__name__ in ("PrefectConsoleHandler", "StandardErrorHandler"):
            root.removeHandler(handler)
    ours = StandardErrorHandler(level)
    ours.setFormatter(Text(tracebacks=verbose) if lines is None else Json(lines))
    engine_room = logging.getLogger(ENGINE_ROOM)
    engine_room.filters[:] = [each for each in engine_room.filters if not isinstance(each, ToldOnce)]
    if not verbose:
        ours.addFilter(worth_showing)
        engine_room.addFilter(ToldOnce())
    logging.raiseExceptions = verbose  # else Prefect writes straight to standard error that the API has no more lines
    threading.excepthook = tell_of_thread
    root.addHandler(ours)
    logging.getLogger(PACKAGE).setLevel(logging.INFO if verbose else logging.NOTSET)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
