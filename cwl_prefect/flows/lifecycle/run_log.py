"""What a run's log, which the Prefect UI shows, has of this package: its warnings, and its errors as users read."""

import ast
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context

from prefect.logging.handlers import APILogHandler

from cwl_prefect.errors import CwlPrefectError

_TASK_RUNS = "prefect.task_runs"
_RUN_LOGGERS = ("prefect.flow_runs", _TASK_RUNS)
_FINISHED = re.compile(
    r"Finished in state (?P<name>[^(]+)\((?P<message>'.*'|\".*\")?(?:(?:, )?type=[A-Z]+)?\)", flags=re.DOTALL
)
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
    """Gives this package's own errors by their text, where Prefect would write the repr and the traceback of each.

    All of an error is told once: by the last line of the task run that it ended, or by the flow run where none did.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Change a record about an own error or a last state; all others stay what they are, and all are kept."""
        error = _own_error(record)
        if error is not None:
            told = error.told or (record.name == _TASK_RUNS and record.levelno >= logging.ERROR)
            text = _first_line(str(error)) if told else str(error)
            record.msg, record.args = record.getMessage().replace(repr(error), text), ()
            record.exc_info = record.exc_text = None
        else:
            record.msg, record.args = _of_state(record.getMessage(), whole=record.name == _TASK_RUNS), ()
        return True


def _of_state(text: str, *, whole: bool) -> str:
    """Return what tells of a last state with its message as it reads, or with the first line of that."""
    found = _FINISHED.fullmatch(text)
    if found is None:
        return text
    message = str(ast.literal_eval(found["message"] or "''"))
    return f"Finished in state {found['name']}: {message if whole else _first_line(message)}".removesuffix(": ")


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


_AS_USERS_READ = _AsUsersRead()


def tell_errors_by_text() -> None:
    """Let the logs of all runs of this process tell own errors by their text; further calls change nothing."""
    for name in _RUN_LOGGERS:
        logging.getLogger(name).addFilter(_AS_USERS_READ)


def _own_error(record: logging.LogRecord) -> CwlPrefectError | None:
    raised = record.exc_info[1] if record.exc_info else None
    given = record.args if isinstance(record.args, tuple) else ()
    return next((error for error in (raised, *given) if isinstance(error, CwlPrefectError)), None)
