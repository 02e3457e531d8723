"""Entry points: ``cwl-prefect`` (also ``python -m cwl_prefect``) and ``cwl-prefect-runner``."""

import atexit
import contextlib
import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from cwl_prefect.server.standby.caller import hand_over
from cwl_prefect.server.standby.circumstances import Circumstances
from cwl_prefect.server.standby.place import own_place, place_of

INTERRUPTED = 130
OBJECTS_OF_START = 1_000_000  # imports make some hundred thousand, which stay: none of them is rubbish
OBJECTS_BEFORE_COLLECTION = 50_000  # a run makes many objects and few cycles; by default it would look after each 700


def main() -> None:
    """Run the command line, in a process that stands by where there is one, and leave with its exit code."""
    _open_standard_streams()
    _check_current_directory()
    with _process(_leave_without_teardown()):
        place = own_place()
        status = None if place is None else hand_over(place, sys.argv)
        if status is not None:
            sys.exit(status)
        try:
            _run_command_line()
        finally:
            if place is not None and sys.argv[1:2] == ["run"]:
                from cwl_prefect.server.standby.starter import leave_behind

                leave_behind(place)


def stand_by() -> None:
    """Import what is named on the standard input, wait for calls, and run them in forks."""
    leave = _leave_without_teardown()
    wanted = json.load(sys.stdin)
    place = place_of(Circumstances.own(Path(wanted["directory"])))
    if place.name != wanted["name"]:  # something has changed since
        return
    from cwl_prefect.server.standby.process import wait_for_calls
    from cwl_prefect.settings import Settings

    home = Path(wanted["directory"], Settings().home)
    if wait_for_calls(place, home, wanted["modules"], wanted["models"], _complete_options) is None:
        return
    with _process(leave):
        _run_command_line()


def _complete_options() -> None:
    """Make what typer would make of each option of ``run`` at its first use."""
    from typer.core import TyperGroup

    from cwl_prefect.cli.app import command

    if isinstance(command, TyperGroup):
        command.commands["run"].make_context("run", [], resilient_parsing=True)


def _run_command_line() -> None:
    from cwl_prefect.cli.app import command
    from cwl_prefect.server.configured_api import check_before_import

    check_before_import()
    command(prog_name="cwl-prefect")


def runner() -> None:
    """Run the ``cwl-runner`` compatible command line and leave with its exit code."""
    _open_standard_streams()
    _check_current_directory()
    with _process(_leave_without_teardown()):
        from cwl_prefect.cli.run.runner import run_as_cwl_runner
        from cwl_prefect.server.configured_api import check_before_import

        check_before_import()
        sys.exit(run_as_cwl_runner(sys.argv[1:]))


def _open_standard_streams() -> None:
    """Open those that the caller closed: the next file that is opened would take their place, and all that is said."""
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))


def _check_current_directory() -> None:
    """Leave where the current directory was removed: relative paths mean nothing there."""
    try:
        os.getcwd()  # noqa: PTH109 - Path costs a millisecond
    except FileNotFoundError:
        os.write(2, b"Error: the current directory does not exist any more.\nTo fix: change to another directory.\n")
        sys.exit(2)


@contextlib.contextmanager
def _process(leave: Callable[[object], None]) -> Iterator[None]:
    """Hold for the whole process: SIGTERM and a closed terminal are Ctrl-C, nothing is reported, the end is quick."""
    os.environ.setdefault("DO_NOT_TRACK", "1")  # Prefect would send how it is used, until it knows its server's setting
    gc.set_threshold(OBJECTS_OF_START)
    gc.callbacks.append(_after_start)
    for number in (signal.SIGTERM, *_closed_terminal()):
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:  # while the commands were being imported
        leave(INTERRUPTED)
        sys.exit(INTERRUPTED)
    except SystemExit as ending:
        leave(ending.code)
        if ending.code == INTERRUPTED:
            atexit._run_exitfuncs()  # noqa: SLF001 - without waiting for threads, which may read a huge file
        raise
    finally:
        _leave_at_once_on_signals()


def _after_start(phase: str, info: dict[str, int]) -> None:  # noqa: ARG001 - as Python calls it
    """Once rubbish was looked for, look for it as a run needs, and never again among what was there by then."""
    if phase == "stop":
        gc.callbacks.remove(_after_start)
        gc.freeze()
        gc.set_threshold(OBJECTS_BEFORE_COLLECTION, 20, 100)


def _leave_without_teardown() -> Callable[[object], None]:
    """Skip the destruction of every module at the end, which takes longer than many a command.

    What was registered to happen at the exit happens before: this is registered first, hence called last.
    """
    status: list[int] = []

    def leave() -> None:
        """End the process at once, with its exit code if one is known and once all that was printed is out."""
        if not status or "coverage" in sys.modules:
            return  # coverage writes its data later still
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status[0])

    atexit.register(leave)
    return lambda code: status.append(code) if isinstance(code, int) else status.append(int(code is not None))


def _leave_at_once_on_signals() -> None:
    """Let nobody wait for the last log lines to be sent."""
    for number in (signal.SIGINT, signal.SIGTERM, *_closed_terminal()):
        signal.signal(number, lambda *_: os._exit(INTERRUPTED))


def _closed_terminal() -> Iterator[signal.Signals]:
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup sets it
        yield signal.SIGHUP


if __name__ == "__main__":
    main()
