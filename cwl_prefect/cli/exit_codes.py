"""What every exit code of the command line means: the one place that says so."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass

from cwl_prefect import errors
from cwl_prefect.errors import CwlPrefectError

SUCCESS = 0
INTERNAL_ERROR = 70
BROKEN_PIPE = 141
RUNNER_FAILURE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitCode:
    """One exit code and what it tells a script."""

    code: int
    name: str
    meaning: str


_OF_THE_PROCESS = (
    ExitCode(code=SUCCESS, name="success", meaning="Everything asked for was done"),
    ExitCode(code=INTERNAL_ERROR, name="internal error", meaning="A bug in cwl-prefect; the message names a log file"),
    ExitCode(code=BROKEN_PIPE, name="broken pipe", meaning="The reader of the standard output went away"),
)


def exit_codes() -> tuple[ExitCode, ...]:
    """Return every exit code in ascending order: those of the error classes, and those of the process itself."""
    codes = [*_OF_THE_PROCESS, *(_of(error) for error in _error_classes(CwlPrefectError))]
    return tuple(sorted(codes, key=lambda each: each.code))


def exit_code_of(name: str) -> int:
    """Return the exit code of an error by the name of its class; that of any other error where there is no such one."""
    found = (error.exit_code for error in _error_classes(CwlPrefectError) if error.__name__ == name)
    return next(found, CwlPrefectError.exit_code)


def markdown_table() -> str:
    """Write the exit codes as the table that the documentation shows."""
    rows = [f"| {each.code} | {each.name} | {each.meaning} |" for each in exit_codes()]
    return "\n".join(["| Code | Name | Meaning |", "|---:|---|---|", *rows, ""])


def _of(error: type[CwlPrefectError]) -> ExitCode:
    if error is CwlPrefectError:
        return ExitCode(code=error.exit_code, name="error", meaning="Any other error")
    summary = (inspect.getdoc(error) or "").split("\n\n")[0].replace("\n", " ").replace("``", "`").rstrip(".")
    return ExitCode(code=error.exit_code, name=_words(error.__name__), meaning=summary)


def _words(class_name: str) -> str:
    spaced = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in class_name)
    return spaced.strip()


def _error_classes(base: type[CwlPrefectError]) -> Iterator[type[CwlPrefectError]]:
    if base.__module__ == errors.__name__:
        yield base
    for derived in base.__subclasses__():
        yield from _error_classes(derived)
