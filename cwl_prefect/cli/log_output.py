"""Which log lines reach the terminal: warnings, or everything when asked for; the Prefect API receives all of them."""

import logging
import sys

QUIET_LOGGERS = ("cwltool", "salad", "rdflib.term", "httpx", "httpcore", "docker", "urllib3", "asyncio")


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
    ours.setFormatter(logging.Formatter("%(message)s"))
    root.addHandler(ours)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
