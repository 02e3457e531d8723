"""Entry points: ``cwl-prefect`` (also ``python -m cwl_prefect``) and ``cwl-prefect-runner``."""

import signal
import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    _end_on_sigterm()
    from cwl_prefect.cli.app import app

    app(prog_name="cwl-prefect")


def runner() -> None:
    """Run the ``cwl-runner`` compatible command line and leave with its exit code."""
    _end_on_sigterm()
    from cwl_prefect.cli.runner import run_as_cwl_runner

    sys.exit(run_as_cwl_runner(sys.argv[1:]))


def _end_on_sigterm() -> None:
    """Treat SIGTERM as Ctrl-C from the start; a run treats both itself."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


if __name__ == "__main__":
    main()
