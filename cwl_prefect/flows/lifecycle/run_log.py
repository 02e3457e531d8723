"""What a run's log, which the Prefect UI shows, has of this package: its warnings, and its errors as users read."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context

from prefect.logging.handlers import APILogHandler

from cwl_prefect.errors import CwlPrefectError

_RUN_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")
_PACKAGE = logging.getLogger("cwl_prefect")


class RunLogHandler(APILogHandler):
    """Sends warnings to the Prefect API as lines of the log of the flow run in whose context it is made.

    A warning that is given inside of a task run or a nested flow run becomes a line of that. Threads know of no run:
    what they warn of is sent while there is one run only.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._context = copy_context()

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record that is about this handler's run."""
        current = _CURRENT.get()
        if current is self:
            super().emit(record)
        elif current is None and sum(isinstance(each, RunLogHandler) for each in _PACKAGE.handlers) == 1:
            self._context.copy().run(super().emit, record)


_CURRENT: ContextVar[RunLogHandler | None] = ContextVar("cwl_prefect_run_log", default=None)


@contextmanager
def warnings_in_log() -> Iterator[None]:
    """Let the log of the current flow run have the warnings of this package for as long as this is open.

    Nothing is added where Prefect sends them already (``PREFECT_LOGGING_EXTRA_LOGGERS``).
    """
    if any(isinstance(each, APILogHandler) and not isinstance(each, RunLogHandler) for each in _PACKAGE.handlers):
        yield
        return
    handler = RunLogHandler()
    token = _CURRENT.set(handler)
    _PACKAGE.addHandler(handler)
    try:
        yield
    finally:
        _PACKAGE.removeHandler(handler)
        handler.close()
        _CURRENT.reset(token)


class _AsUsersRead(logging.Filter):
    """Gives this package's own errors by their text, where Prefect would write the repr and the traceback of each."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change a record about an own error; all others stay what they are, and all are kept."""
        error = _own_error(record)
        if error is not None:
            record.msg, record.args = record.getMessage().replace(repr(error), str(error)), ()
            record.exc_info = record.exc_text = None
        return True


_AS_USERS_READ = _AsUsersRead()


def tell_errors_by_text() -> None:
    """Let the logs of all runs of this process tell own errors by their text; further calls change nothing."""
    for name in _RUN_LOGGERS:
        logging.getLogger(name).addFilter(_AS_USERS_READ)


def _own_error(record: logging.LogRecord) -> CwlPrefectError | None:
    raised = record.exc_info[1] if record.exc_info else None
    given = record.args if isinstance(record.args, tuple) else ()
    return next((error for error in (raised, *given) if isinstance(error, CwlPrefectError)), None)
