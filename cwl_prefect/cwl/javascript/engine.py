"""JavaScript of CWL documents, evaluated by QuickJS in confined processes (``docs/adr/0001-javascript-engine.md``).

Expressions come from strangers. An embedded engine limits time and memory from within, yet not all of its built-in
functions look at the clock, and a fault in it would take the whole run along; so it lives in a small process that is
killed when it does not answer.
"""

import atexit
import importlib.util
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

from cwl_prefect.cwl.javascript import process as javascript_process
from cwl_prefect.cwl.javascript.process import REPLY, Reply, Request
from cwl_prefect.environment import environment

_GRACE_S = 0.5
_TIMEOUT_S = 20.0  # where nobody said otherwise
_MEMORY_MIB = 128
_CHUNK_BYTES = 1 << 20
_MESSAGE_CHARACTERS = 1000
_FRAME = re.compile(r"at (?P<function>\S+) \(<input>:(?P<line>\d+)|at <input>:(?P<syntax_line>\d+)")


class JavascriptError(Exception):
    """An expression cannot be evaluated; the text is one line.

    Attributes:
        message: What happened.
        hint: What the user can do next, or None where the message says it.
        text: The text of a document that holds the expression, where that is known.
    """

    text: str | None = None

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class TookLong(Exception):  # noqa: N818 - it says nothing of the expression itself
    """An expression did not end at once, where its caller cannot wait."""


class NoneIdle(TookLong):
    """It could not begin: each process has another expression, or is still to be started."""


class JavascriptRead(NamedTuple):
    """Something that is not the same in every call of a tool, and was read.

    Attributes:
        root: ``inputs``, ``self``, ``runtime`` or ``chance``.
        port: Of which input.
        field: A field of ``runtime`` or of a File or Directory; ``*``: which fields it has; ``passed``: the object was
            given on as it is. Of chance: what was called.
    """

    root: str
    port: str
    field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """The value of an expression, and what it read."""

    value: Any
    reads: tuple[JavascriptRead, ...]


class QuickJSEngine:
    """Evaluates expressions, from any number of threads.

    Each expression gets a fresh context in strict mode, so that none sees what another left. Processes are started when
    a first expression needs one, at most one per core, and kept for the next.
    """

    def __init__(self, *, timeout_s: float, memory_mib: int) -> None:
        self.timeout_s = timeout_s
        self.memory_mib = memory_mib
        self._patience = threading.local()
        self.forget_processes()

    def eval(self, expression: str, library: str = "") -> Any:
        """Return the value of an expression.

        Args:
            expression: The expression with its parentheses or braces, without the dollar sign.
            library: ``expressionLib`` and the variables of the expression.

        Raises:
            JavascriptError: It threw, gave no JSON value, or used more time, memory or stack than it may.
        """
        return self._evaluated(expression, library, recording=False).value

    def recorded(self, expression: str, library: str) -> "Evaluated":
        """Return the value of an expression as ``eval`` does, and what it read."""
        return self._evaluated(expression, library, recording=True)

    @contextmanager
    def at_once(self, patience_s: float) -> Iterator[None]:
        """Let this thread wait no longer than this for all its expressions together.

        Raises:
            TookLong: They did not end within that time.
            NoneIdle: No process was idle.
        """
        patience = self._patience
        patience.deadline_s, patience.lost = time.monotonic() + patience_s, None
        try:
            yield
        except Exception:
            if patience.lost is not None:  # whatever was made of it
                raise patience.lost from None
            raise
        finally:
            del patience.deadline_s

    def close(self) -> None:
        """End the processes that are idle; a further expression starts one anew."""
        while self._idle:
            self._idle.pop().close()

    def _evaluated(self, expression: str, library: str, *, recording: bool) -> "Evaluated":
        reply, text = self._ask(Request(recording, library, expression))
        if reply is not Reply.VALUE:
            raise self._error(reply, text)
        value, _, reads = text.rpartition("\n")
        try:
            return Evaluated(value=json.loads(value), reads=tuple(_read(line) for line in json.loads(reads)))
        except RecursionError:
            raise JavascriptError("the expression's value is nested too deeply") from None

    def _ask(self, request: Request) -> tuple[Reply, str]:
        limit_s = time.monotonic() + self.timeout_s + _GRACE_S
        patience_s: float | None = getattr(self._patience, "deadline_s", None)
        if patience_s is not None:
            return self._ask_at_once(request, min(limit_s, patience_s))
        with self._free, self._evaluator() as evaluator:
            return evaluator.ask(request, deadline_s=limit_s)

    def _ask_at_once(self, request: Request, deadline_s: float) -> tuple[Reply, str]:
        self._patience.lost = NoneIdle
        if not self._free.acquire(blocking=False):
            raise NoneIdle
        try:
            if not self._idle:  # a process takes its time to start
                raise NoneIdle
            self._patience.lost = TookLong
            with self._evaluator() as evaluator:
                reply, text = evaluator.ask(request, deadline_s=deadline_s)
        finally:
            self._free.release()
        if reply is Reply.TIMED_OUT:
            raise TookLong
        self._patience.lost = None
        return reply, text

    @contextmanager
    def _evaluator(self) -> Iterator["_Evaluator"]:
        evaluator = self._take() or _Evaluator(timeout_s=self.timeout_s, memory_mib=self.memory_mib)
        try:
            yield evaluator
        except BaseException:
            evaluator.close()
            raise
        self._keep(evaluator)

    def _take(self) -> "_Evaluator | None":
        while self._idle:
            evaluator = self._idle.pop()
            if evaluator.alive:
                return evaluator
            evaluator.close()
        return None

    def _keep(self, evaluator: "_Evaluator") -> None:
        if evaluator.alive:
            self._idle.append(evaluator)
        else:
            evaluator.close()

    def forget_processes(self) -> None:
        """Start without processes, as after a fork: those of the parent are not ours."""
        self._idle: list[_Evaluator] = []  # append and pop are atomic
        self._free = threading.BoundedSemaphore(os.cpu_count() or 1)

    def _error(self, reply: Reply, text: str) -> JavascriptError:
        match reply:
            case Reply.TIMED_OUT:
                hint = "Correct a loop that does not end, or raise CWL_PREFECT_JAVASCRIPT_TIMEOUT_S."
                return JavascriptError(f"the expression did not end within {self.timeout_s:g} s", hint=hint)
            case Reply.OUT_OF_MEMORY:
                hint = "Make it hold less at once, or raise CWL_PREFECT_JAVASCRIPT_MEMORY_MIB."
                return JavascriptError(f"the expression needs more than {self.memory_mib} MiB of memory", hint=hint)
            case Reply.TOO_LARGE:
                hint = "Return less, or raise CWL_PREFECT_JAVASCRIPT_MEMORY_MIB, an eighth of which a value may take."
                return JavascriptError(f"the expression's value is too large ({text} bytes as JSON)", hint=hint)
            case Reply.STACK_OVERFLOW:
                return JavascriptError("the expression nests or calls itself too deeply")
            case Reply.UNDEFINED:
                hint = "Return a value, or null for none; a misspelt name of an input gives undefined."
                return JavascriptError(
                    "the expression gave undefined or a function, which are not CWL values", hint=hint
                )
            case _:
                return JavascriptError(_describe(text, library=reply is Reply.THREW_IN_LIBRARY))


class _Evaluator:
    """One confined process."""

    def __init__(self, *, timeout_s: float, memory_mib: int) -> None:
        command = [
            sys.executable,
            "-I",
            "-S",
            javascript_process.__file__,
            _extension(),
            str(timeout_s),
            str(memory_mib),
        ]
        try:
            self._process = subprocess.Popen(
                command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                # What the interpreter needs to find its own libraries, and local time that is the same everywhere.
                env={name: value for name, value in environment().items() if name == "LD_LIBRARY_PATH"} | {"TZ": "UTC"},
                start_new_session=True,  # Ctrl-C is for the run, which then ends this process
            )
        except OSError as error:
            raise JavascriptError(f"the JavaScript process cannot be started: {error}") from error

    @property
    def alive(self) -> bool:
        """Whether the process can take another expression."""
        return self._process.poll() is None

    def ask(self, request: Request, *, deadline_s: float) -> tuple[Reply, str]:
        """Have an expression evaluated.

        The process is killed when it has not answered at ``deadline_s`` of the monotonic clock.

        Raises:
            JavascriptError: The process ended before it answered.
        """
        try:
            self._write(request.packed())
            code, size = REPLY.unpack(self._read(REPLY.size, deadline_s))
            return Reply(code), self._read(size, deadline_s).decode()
        except TimeoutError:
            self.close()
            return Reply.TIMED_OUT, ""
        except (BrokenPipeError, EOFError):
            return self._ended()

    def close(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                stream.close()  # type: ignore[union-attr]

    def _ended(self) -> tuple[Reply, str]:
        status = self._process.wait()
        self.close()
        if status == -signal.SIGXCPU:
            return Reply.TIMED_OUT, ""
        if status == 1:  # Python's own end where memory is short
            return Reply.OUT_OF_MEMORY, ""
        reason = signal.Signals(-status).name if status < 0 else f"status {status}"
        raise JavascriptError(f"the JavaScript engine ended unexpectedly ({reason})")

    def _write(self, message: bytes) -> None:
        pipe = cast("Any", self._process.stdin)
        rest = memoryview(message)
        while rest:
            rest = rest[pipe.write(rest) :]

    def _read(self, size: int, deadline_s: float) -> bytes:
        pipe = cast("Any", self._process.stdout).fileno()
        ready = select.poll()
        ready.register(pipe, select.POLLIN)
        received = bytearray()
        while len(received) < size:
            remaining_s = deadline_s - time.monotonic()
            if remaining_s <= 0 or not ready.poll(remaining_s * 1000):
                raise TimeoutError
            chunk = os.read(pipe, min(size - len(received), _CHUNK_BYTES))
            if not chunk:
                raise EOFError
            received += chunk
        return bytes(received)


_installed: QuickJSEngine | None = None


def install(*, timeout_s: float, memory_mib: int) -> QuickJSEngine:
    """Set the limits of all JavaScript of this process from now on.

    Args:
        timeout_s: Time limit of one expression in seconds.
        memory_mib: Memory limit of one expression in MiB.

    Returns:
        The engine; the one that is installed already where the limits are the same.
    """
    global _installed  # noqa: PLW0603 - the processes of one engine serve every run of this process
    if _installed is not None:
        if (_installed.timeout_s, _installed.memory_mib) == (timeout_s, memory_mib):
            return _installed
        _installed.close()
    _installed = QuickJSEngine(timeout_s=timeout_s, memory_mib=memory_mib)
    return _installed


def installed() -> QuickJSEngine:
    """Return the engine of this process."""
    return _installed or install(timeout_s=_TIMEOUT_S, memory_mib=_MEMORY_MIB)


@contextmanager
def at_once(patience_s: float) -> Iterator[None]:
    """Let this thread wait no longer than this for all its expressions together.

    Raises:
        TookLong: They did not end within that time.
        NoneIdle: They could not begin.
    """
    if _installed is None:
        raise NoneIdle
    with _installed.at_once(patience_s):
        yield


def _close_installed() -> None:
    if _installed is not None:
        _installed.close()


def _forget_installed() -> None:
    if _installed is not None:
        _installed.forget_processes()


atexit.register(_close_installed)
os.register_at_fork(after_in_child=_forget_installed)


def _extension() -> str:
    found = importlib.util.find_spec("_quickjs")
    if found is None or found.origin is None:
        raise JavascriptError("QuickJS is not installed", hint="Install it: pip install quickjs-ng")
    return str(Path(found.origin).resolve())


def _read(line: str) -> JavascriptRead:
    root, rest = line.split("\n", 1)
    return JavascriptRead(root, *rest.rsplit("\n", 1))


def _describe(text: str, *, library: bool) -> str:
    """Return an error of the engine, message and stack, as one line with its place."""
    message, _, _ = text.partition("\n    at ")
    message = " ".join(message.split())
    if len(message) > _MESSAGE_CHARACTERS:
        message = message[:_MESSAGE_CHARACTERS] + "…"
    frames = [found for found in _FRAME.finditer(text) if found["function"] != "evaluateExpression"]
    if not frames:
        return message
    # The outermost frame is the expression's own, the innermost is where a library's own statements failed.
    frame = frames[0] if library else frames[-1]
    where = "expressionLib or inputs" if library else "the expression"
    return f"{message} (line {frame['line'] or frame['syntax_line']} of {where})"
