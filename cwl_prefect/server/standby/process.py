"""The process that stands by: it imports, waits, and forks for each call that is handed over to it."""

import contextlib
import gc
import importlib
import io
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import NoReturn, TextIO

from cwl_prefect._lib.file_lock import FileLock
from cwl_prefect.server.standby.call import (
    CHANNEL,
    PASSED_ON,
    READY,
    STANDARD_STREAMS,
    Call,
    receive_call,
    send_number,
)
from cwl_prefect.server.standby.circumstances import reads_seen, values_of
from cwl_prefect.server.standby.place import Place
from cwl_prefect.server.standby.records import hold, release, tell

_LOOK_S = 30.0
_CALLER_S = 5.0
_BACKLOG = 16


def wait_for_calls(
    place: Place,
    home: Path,
    modules: Iterable[str],
    models: Iterable[tuple[str, str]],
    complete: Callable[[], None],
) -> list[str] | None:
    """Wait for calls: come back in a fork for each of them, with its arguments, and with None once nobody calls.

    A fork has the caller's standard streams, current directory, variables and mask, and Python's own signal handlers.

    Args:
        place: Where to wait. Nothing waits where another process does, where there are enough of them, or where an
            import started a thread, with which a process cannot be forked.
        home: Home directory of cwl-prefect.
        modules: What to import; those that cannot be are left out.
        models: Models of pydantic in them, as module and name, that a call would finish before their first use.
        complete: Does what else a call would do before the first use of what was imported.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    held = hold(place, home)
    if held is None:
        return None
    waiting = os.getpid()
    try:
        with reads_seen() as names:
            _load(modules, models, complete)
        tell(held, home, names=sorted(names), values=values_of(sorted(names), os.environ))
        if len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208 - names are all that is needed
            return None
        os.chdir("/")  # it keeps no other directory from being removed
        with _listening(place) as listener:
            return _wait(listener, place, held)
    except KeyboardInterrupt:
        return None
    finally:
        if os.getpid() == waiting:
            release(place, held)


def _load(modules: Iterable[str], models: Iterable[tuple[str, str]], complete: Callable[[], None]) -> None:
    gc.disable()
    for name in modules:
        with contextlib.suppress(Exception):  # what an optional import raises is its own affair
            importlib.import_module(name)
    for module, name in models:
        with contextlib.suppress(Exception):
            getattr(sys.modules[module], name).model_rebuild()  # does nothing where it is finished
    with contextlib.suppress(Exception):
        complete()
    gc.collect()
    gc.freeze()  # forks share what is never looked at
    gc.enable()


@contextlib.contextmanager
def _listening(place: Place) -> Iterator[socket.socket]:
    """Listen where nobody finds the socket before it is ready."""
    aside = place.socket.with_suffix(".new")
    aside.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, CHANNEL) as listener:
        listener.bind(str(aside))
        listener.listen(_BACKLOG)
        aside.rename(place.socket)
        yield listener


def _wait(listener: socket.socket, place: Place, held: FileLock) -> list[str] | None:
    signal.signal(signal.SIGCHLD, lambda *_: _reap())
    listener.settimeout(min(_LOOK_S, place.idle_s))
    last_call = monotonic()
    while True:
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            if monotonic() - last_call >= place.idle_s or not _is_current(place):
                return None
            continue
        with connection:
            if _forked():
                held.release()
                return _work(connection)
        last_call = monotonic()
        os.utime(held.descriptor)


def _forked() -> bool:
    """Fork, and tell whether this is the fork; where no process can be made, the caller works by itself."""
    try:
        return not os.fork()
    except BlockingIOError:
        return False


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _is_current(place: Place) -> bool:
    """Check whether a call could still find this process: its socket is there, and the code is what was imported."""
    try:
        return place.socket.exists() and place.circumstances.digest() == place.name
    except OSError:
        return False


def _work(connection: socket.socket) -> list[str]:
    """Take a call, and come back in a second fork, which runs it, while the first looks after it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    connection.settimeout(_CALLER_S)
    try:
        connection.sendall(READY)
        call, descriptors = receive_call(connection)
        connection.settimeout(None)
        worker = os.fork()
        if worker:
            _look_after(worker, connection, descriptors)
    except (OSError, EOFError):
        os._exit(1)
    connection.close()
    _become(call, descriptors)
    return call.arguments


def _look_after(worker: int, connection: socket.socket, descriptors: list[int]) -> NoReturn:
    """Report to the caller which process works, and how it ends; end it where the caller is killed."""
    for descriptor in descriptors:
        os.close(descriptor)
    for number in PASSED_ON:  # only the worker is meant
        signal.signal(number, signal.SIG_IGN)
    send_number(connection, worker)
    threading.Thread(target=_outlive, args=(connection, worker), daemon=True).start()
    _, status = os.waitpid(worker, 0)
    with contextlib.suppress(OSError):
        send_number(connection, status)
    os._exit(0)


def _outlive(connection: socket.socket, worker: int) -> None:
    with contextlib.suppress(OSError):
        connection.recv(1)
    os.kill(worker, signal.SIGKILL)


def _become(call: Call, descriptors: list[int]) -> None:
    """Make this process what the caller would have been."""
    *streams, directory = descriptors
    for number, descriptor in zip(STANDARD_STREAMS, streams, strict=True):
        os.dup2(descriptor, number)
    os.fchdir(directory)
    for descriptor in descriptors:
        os.close(descriptor)
    os.umask(call.umask)
    os.environ.clear()
    os.environ.update(call.environment)
    for number in PASSED_ON:
        signal.signal(number, signal.SIG_IGN if number in call.ignored else _handlers_of_python(number))
    sys.argv = call.arguments
    sys.stdin = _stream(0, "rb", sys.stdin)
    sys.stdout = _stream(1, "wb", sys.stdout)
    sys.stderr = _stream(2, "wb", sys.stderr)


def _handlers_of_python(number: int) -> signal.Handlers | Callable[[int, FrameType | None], object]:
    return signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL


def _stream(number: int, mode: str, before: TextIO) -> io.TextIOWrapper:
    """Open a standard stream as Python does at its start, with the encoding that it chose here."""
    if not isinstance(before, io.TextIOWrapper):
        raise TypeError
    return io.TextIOWrapper(
        os.fdopen(number, mode, closefd=False),
        encoding=before.encoding,
        errors=before.errors,
        line_buffering=before.line_buffering or os.isatty(number),
        write_through=before.write_through,
    )
