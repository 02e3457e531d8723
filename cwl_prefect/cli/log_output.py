"""Which log lines reach the terminal: warnings, or everything when asked for; the Prefect API receives all of them."""

import logging
import sys

RUN_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")
PREFECTS_LOGGERS = ("prefect", "APILogWorker", "EventsWorker")
QUIET_LOGGERS = ("cwltool", "salad", "rdflib.term", "httpx", "httpcore", "docker", "urllib3", "asyncio")


class MessageOnly(logging.Formatter):
    """Leaves tracebacks out."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the message alone."""
        return record.getMessage()


def worth_showing(record: logging.LogRecord) -> bool:
    """Tell whether a record says something that the run's own report does not.

    The engine's loggers of runs repeat every failure, with tracebacks; the Prefect API keeps what they say.
    """
    if record.name.startswith(RUN_LOGGERS):
        return False
    return record.levelno >= logging.ERROR or not record.name.startswith(PREFECTS_LOGGERS)


class StandardErrorHandler(logging.Handler):
    """Writes to whatever standard error is at the moment, so that a live display can make room for the line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            sys.stderr.write(f"{record.levelname.lower()}: {self.format(record)}\n")
        except (OSError, ValueError):
            return  # nobody reads it


def configure_logging(*, quiet: bool = False, verbose: bool = False) -> None:
    """Send log lines to standard error and never elsewhere; to be called before Prefect is imported and after.

    Prefect's own console handler keeps the stream it found on import, which would tear a live display apart.
    """
    level = logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING
    root = logging.getLogger()
    for handler in list(root.handlers):
        if type(handler).__name__ in ("PrefectConsoleHandler", "StandardErrorHandler"):
            root.removeHandler(handler)
    ours = StandardErrorHandler(level)
    ours.setFormatter(logging.Formatter("%(message)s") if verbose else MessageOnly("%(message)s"))
    if not verbose:
        ours.addFilter(worth_showing)
    root.addHandler(ours)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
