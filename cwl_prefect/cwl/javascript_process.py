"""The program that evaluates JavaScript, one expression after another, in a process of its own.

It is started by :mod:`cwl_prefect.cwl.javascript` as a script, outside the package and without site-packages, so it
starts in milliseconds and holds nothing worth stealing. It reads requests from its standard input and writes replies to
its standard output. A request is two lengths (of the library and of the expression) and the two texts; a reply is a
:class:`Reply` code, a length and a text.
"""

import importlib.machinery
import importlib.util
import resource
import struct
import sys
from collections.abc import Callable
from enum import IntEnum
from types import ModuleType
from typing import BinaryIO, Protocol, cast

REQUEST = struct.Struct(">QQ")
REPLY = struct.Struct(">BQ")

_MIB = 1 << 20
_STACK_BYTES = 1 << 20

# Runs before anything of the document. `console` may be written to and is not kept.
_PRELUDE = """
(function () {
  "use strict";
  var stringify = JSON.stringify, ErrorType = Error, ignore = function () {};
  globalThis.console = {log: ignore, error: ignore, warn: ignore, info: ignore, debug: ignore, trace: ignore};
  return function evaluateExpression(expression) {
    try {
      return stringify(expression());
    } catch (thrown) {
      if (thrown === null || thrown instanceof ErrorType) { throw thrown; }
      throw new ErrorType("threw " + (typeof thrown === "string" ? thrown : stringify(thrown)));
    }
  };
})()
"""


class Reply(IntEnum):
    """What became of an expression."""

    VALUE = 0  # text: the value as JSON
    UNDEFINED = 1
    THREW_IN_EXPRESSION = 2  # text: error and stack as the engine gives them
    THREW_IN_LIBRARY = 3
    TIMED_OUT = 4
    OUT_OF_MEMORY = 5
    STACK_OVERFLOW = 6
    TOO_LARGE = 7  # text: number of bytes


class Context(Protocol):
    """What is used of a QuickJS context."""

    def eval(self, code: str) -> object:
        """Run a script."""

    def set_time_limit(self, seconds: float) -> None:
        """Limit the processor time of each call."""

    def set_memory_limit(self, size: int) -> None:
        """Limit the heap."""

    def set_max_stack_size(self, size: int) -> None:
        """Limit recursion."""


class Limits:
    """What one expression may use."""

    def __init__(self, *, timeout_s: float, memory_mib: int) -> None:
        self.timeout_s = timeout_s
        self.memory_bytes = memory_mib * _MIB
        self.result_bytes = self.memory_bytes // 8


def load_engine(extension: str) -> ModuleType:
    """Load QuickJS from its extension file, without the package around it."""
    loader = importlib.machinery.ExtensionFileLoader("_quickjs", extension)
    specification = importlib.util.spec_from_loader("_quickjs", loader)
    if specification is None:
        raise ImportError(extension)
    engine = importlib.util.module_from_spec(specification)
    loader.exec_module(engine)
    return engine


class Prepared:
    """A context in which nothing of a document has run yet, and the function that evaluates in it."""

    def __init__(self, engine: ModuleType, limits: Limits) -> None:
        self.engine = engine
        self.limits = limits
        self.context: Context = engine.Context()
        self.context.set_memory_limit(limits.memory_bytes)
        self.context.set_max_stack_size(_STACK_BYTES)
        self.context.set_time_limit(limits.timeout_s)
        self.run = cast("Callable[[object], str | None]", self.context.eval(_PRELUDE))


def evaluate(prepared: Prepared, library: str, expression: str) -> tuple[Reply, str]:
    """Evaluate an expression in a context of its own.

    Args:
        prepared: A context that no expression has seen.
        library: ``expressionLib`` and the variables ``inputs``, ``self`` and ``runtime``.
        expression: The text between ``$`` and the end of the CWL expression, with its parentheses or braces.

    Returns:
        What became of it, and the text that goes with that.
    """
    engine, context = prepared.engine, prepared.context
    place = Reply.THREW_IN_LIBRARY
    try:
        context.eval('"use strict";' + library)
        place = Reply.THREW_IN_EXPRESSION
        value = prepared.run(context.eval('"use strict";(function()' + _body(expression) + ")"))
    except engine.StackOverflow as error:
        return Reply.STACK_OVERFLOW, str(error)
    except engine.JSException as error:
        return _failure(str(error), place)
    except MemoryError:
        return Reply.OUT_OF_MEMORY, ""
    if value is None:
        return Reply.UNDEFINED, ""
    return (Reply.VALUE, value) if len(value) <= prepared.limits.result_bytes else (Reply.TOO_LARGE, str(len(value)))


def _body(expression: str) -> str:
    return expression if expression.startswith("{") and len(expression) > 1 else "{return (" + expression + ");}"


def _failure(text: str, place: Reply) -> tuple[Reply, str]:
    if text.startswith("InternalError: interrupted"):
        return Reply.TIMED_OUT, ""
    # An engine without memory left cannot even name its error.
    if text.startswith(("InternalError: out of memory", "null", "(Failed obtaining")):
        return Reply.OUT_OF_MEMORY, ""
    return place, text


def _confine(limits: Limits) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    # Above the heap's own limit: the texts that come and go are held a few times over.
    resource.setrlimit(resource.RLIMIT_DATA, (limits.memory_bytes * 4 + 512 * _MIB,) * 2)


def _allow_processor_time(seconds: float) -> None:
    # So that not even an orphan runs for ever; the parent's own clock is the finer one.
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime + seconds) + 3
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def serve(engine: ModuleType, limits: Limits, requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests until there are no more; the next context is made while nobody waits."""
    prepared = Prepared(engine, limits)
    while header := requests.read(REQUEST.size):
        library_size, expression_size = REQUEST.unpack(header)
        library = requests.read(library_size).decode()
        expression = requests.read(expression_size).decode()
        _allow_processor_time(limits.timeout_s)
        reply, text = evaluate(prepared, library, expression)
        payload = text.encode()
        replies.write(REPLY.pack(reply, len(payload)) + payload)
        replies.flush()
        prepared = Prepared(engine, limits)


def main(arguments: list[str]) -> None:
    """Serve standard input, given the extension's file, the time limit in seconds and the memory limit in MiB."""
    extension, timeout_s, memory_mib = arguments
    engine = load_engine(extension)
    limits = Limits(timeout_s=float(timeout_s), memory_mib=int(memory_mib))
    _confine(limits)
    serve(engine, limits, sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main(sys.argv[1:])
