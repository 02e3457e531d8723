"""The standard streams: a clean standard output for results, everything else on standard error."""

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TextIO

# C0 and C1 but tab and newline, and what turns the direction of a text around; their escapes mean the same in JSON.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@contextmanager
def results_only() -> Iterator[TextIO]:
    """Keep the standard output for results; whatever else prints there, C code and child processes too, goes to stderr.

    Yields:
        The stream for results. Where there are no file descriptors, only Python's own streams are redirected.
    """
    sys.stdout.flush()
    try:
        results = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", errors="backslashreplace")
    except (OSError, ValueError):
        with _python_streams(sys.stdout) as stream:
            yield stream
        return
    output = sys.stdout.fileno()
    saved = os.dup(output)
    with results, _python_streams(results):
        os.dup2(sys.__stderr__.fileno() if sys.__stderr__ else 2, output)
        try:
            yield results
        finally:
            with contextlib.suppress(BrokenPipeError):
                results.flush()
            os.dup2(saved, output)
            os.close(saved)


@contextmanager
def _python_streams(results: TextIO) -> Iterator[TextIO]:
    before = sys.stdout
    sys.stdout = sys.stderr
    try:
        yield results
    finally:
        sys.stdout = before


def printable(text: str) -> str:
    """Return a text as a terminal or log may show it: what would move the cursor or hide a part is escaped.

    Documents, tools and servers write texts, such as names of steps, that a terminal would otherwise obey.
    """
    return text if text.isprintable() else _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def tell(text: str, *, err: bool = False, end: str = "\n") -> None:
    """Write a text on the standard output, or on standard error."""
    print(printable(text), end=end, file=sys.stderr if err else sys.stdout, flush=True)


def tell_table(rows: Sequence[Sequence[str]], *, err: bool = False) -> None:
    """Write rows whose columns stand below each other, on the standard output, or on standard error."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        tell("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip(), err=err)


def complain(text: str) -> None:
    """Write one message for the user; a closed standard error is nobody's fault."""
    with contextlib.suppress(OSError, ValueError):
        tell(_MESSAGE.get()(text), err=True)


def write_messages_as(line: Callable[[str], str]) -> None:
    """Have messages for the user written as what a function makes of them, from now on."""
    _MESSAGE.set(line)


_MESSAGE: ContextVar[Callable[[str], str]] = ContextVar("cwl_prefect_message", default=str)


def write_results(found: object, results: TextIO) -> None:
    """Write results as JSON; where they cannot be written, say so: what was run keeps its own exit code.

    Raises:
        BrokenPipeError: Nobody reads them any more.
    """
    try:
        results.write(printable(json.dumps(found, indent=4, ensure_ascii=False, allow_nan=False)) + "\n")
        results.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        silence(results)
        complain(f"Warning: the results could not be written to the standard output: {error.strerror}.")


def silence_standard_output() -> None:
    """Send what is still buffered nowhere, so that the interpreter's last flush does not complain of a closed pipe."""
    silence(sys.stdout)


def silence(stream: TextIO) -> None:
    """Send what is still buffered nowhere."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
