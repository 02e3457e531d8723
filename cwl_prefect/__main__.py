"""Entry points: ``cwl-prefect`` (also ``python -m cwl_prefect``) and ``cwl-prefect-runner``."""

import os
import signal
import sys

INTERRUPTED = 130


def main() -> None:
    """Run the command line and leave with its exit code."""
    _end_on_sigterm()
    from cwl_prefect.cli.app import app

    try:
        app(prog_name="cwl-prefect")
    finally:
        _leave_at_once_on_signals()


def runner() -> None:
    """Run the ``cwl-runner`` compatible command line and leave with its exit code."""
    _end_on_sigterm()
    from cwl_prefect.cli.runner import run_as_cwl_runner

    try:
        sys.exit(run_as_cwl_runner(sys.argv[1:]))
    finally:
        _leave_at_once_on_signals()


def _end_on_sigterm() -> None:
    """Treat SIGTERM as Ctrl-C from the start; a run treats both itself."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _leave_at_once_on_signals() -> None:
    """Let nobody wait for the last log lines to be sent."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(INTERRUPTED))


if __name__ == "__main__":
    main()
