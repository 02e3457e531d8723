"""The side of a call that hands itself over: it passes signals on, and ends as what runs in its place ends."""

import contextlib
import os
import signal
import socket

from cwl_prefect.server.standby.call import CHANNEL, PASSED_ON, READY, Call, receive_number, send_call
from cwl_prefect.server.standby.place import Place

LOST = 1
"""Exit status where what ran in place of a call was killed with what looked after it."""

_ANSWER_S = 2.0
_JOB_CONTROL = (signal.SIGTSTP, signal.SIGCONT)


def hand_over(place: Place, arguments: list[str]) -> int | None:
    """Let the process that stands by run this call, and return its exit status; None where none takes it.

    Where what runs in place of this process is ended by a signal, so is this process.
    """
    if not place.saw(place.circumstances.environment):
        return None
    passed_on = [number for number in (*PASSED_ON, *_JOB_CONTROL) if signal.getsignal(number) != signal.SIG_IGN]
    with socket.socket(socket.AF_UNIX, CHANNEL) as connection:
        connection.settimeout(_ANSWER_S)
        signal.pthread_sigmask(signal.SIG_BLOCK, passed_on)  # they are passed on from the first moment
        try:
            if not _sent(connection, place, arguments):
                return None  # nothing has begun
            worker = receive_number(connection)
            for number in passed_on:
                signal.signal(number, lambda received, _frame: _pass_on(received, worker))
        except (OSError, EOFError):
            return LOST
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, passed_on)
        return _follow(connection, worker)


def _sent(connection: socket.socket, place: Place, arguments: list[str]) -> bool:
    try:
        connection.connect(str(place.socket))
        if connection.recv(len(READY)) != READY:
            return False
        connection.settimeout(None)
        send_call(connection, Call.own(arguments, place.circumstances.environment))
    except OSError:
        return False
    return True


def _pass_on(number: int, worker: int) -> None:
    """Do to the worker what was done to this process; a stopped job is stopped as a whole."""
    if number != signal.SIGTSTP:
        _send(number, worker)
        return
    _send(signal.SIGSTOP, worker)
    os.kill(os.getpid(), signal.SIGSTOP)  # goes on at SIGCONT, which is passed on


def _send(number: int, worker: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(worker, number)


def _follow(connection: socket.socket, worker: int) -> int:
    try:
        status = receive_number(connection)
    except (OSError, EOFError):  # what looked after it was killed
        _send(signal.SIGKILL, worker)
        return LOST
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    return os.waitstatus_to_exitcode(status)
