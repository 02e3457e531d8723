"""The standard streams: a clean standard output for results, everything else on standard error."""

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def results_only() -> Iterator[TextIO]:
    """Keep the standard output for results; whatever else prints there, C code and child processes too, goes to stderr.

    Yields:
        The stream for results. Where there are no file descriptors, only Python's own streams are redirected.
    """
    sys.stdout.flush()
    try:
        results = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
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


def complain(text: str) -> None:
    """Write one message for the user; a closed standard error is nobody's fault."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)  # noqa: T201  # the terminal is what this module is for


def silence_standard_output() -> None:
    """Send what is still buffered nowhere, so that the interpreter's last flush does not complain of a closed pipe."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
