"""The program that evaluates JavaScript, one expression after another, in a process of its own.

It is started by :mod:`cwl_prefect.cwl.javascript.engine` as a script, outside the package and without site-packages, so
it starts in milliseconds and holds nothing worth stealing. It reads requests from its standard input and writes replies
to its standard output. A request is whether to record what is read, two lengths (of the library and of the expression)
and the two texts; a reply is a :class:`Reply` code, a length and a text.
"""

import importlib.machinery
import importlib.util
import re
import resource
import struct
import sys
from collections.abc import Callable
from enum import IntEnum
from types import ModuleType
from typing import BinaryIO, NamedTuple, Protocol, cast

_REQUEST = struct.Struct(">?QQ")
REPLY = struct.Struct(">BQ")

_UNWRITABLE = re.compile("[\0\ud800-\udfff]")
_MIB = 1 << 20
_STACK_BYTES = 1 << 20

# Runs before anything of the document, which can change what is global, but not what is kept here. `console` may be
# written to and is not kept.
_PRELUDE = r"""
(function () {
  "use strict";
  var stringify = JSON.stringify, ErrorType = Error, ignore = function () {};
  globalThis.console = {log: ignore, error: ignore, warn: ignore, info: ignore, debug: ignore, trace: ignore};
  return function evaluateExpression(expression, replacer) {
    try {
      return stringify(expression(), replacer);
    } catch (thrown) {
      if (thrown === null || thrown instanceof ErrorType) { throw thrown; }
      throw new ErrorType("threw " + (typeof thrown === "string" ? thrown : stringify(thrown)));
    }
  };
})()
"""

# Runs before anything of the document too, where somebody asks what is read: to compile it takes longer than all else.
#
# What is read of File and Directory objects and of `runtime` is recorded, as lines "ROOT\nPORT\nFIELD"; "*" is to list
# the fields, "passed" to give an object on as it is. Chance is recorded too.
_RECORDER = r"""
(function () {
  "use strict";
  var keys = Object.keys, getOwn = Object.getOwnPropertyDescriptor, ProxyType = Proxy;
  var apply = Reflect.apply, construct = Reflect.construct, set = Reflect.set, ownKeys = Reflect.ownKeys;
  var fields = {__proto__: null, location: 1, path: 1, dirname: 1, checksum: 1, size: 1, contents: 1, format: 1,
    listing: 1};
  var reads = {__proto__: null}, secret = Symbol(), anyGuarded = false;

  function note(root, port, field) { reads[root + "\n" + port + "\n" + field] = 1; }

  function guardian(root, port, isRead) {
    return {
      get: function (object, field) {
        if (field === secret) { return {object: object, root: root, port: port}; }
        if (isRead(field)) { note(root, port, field); }
        return object[field];
      },
      has: function (object, field) { if (isRead(field)) { note(root, port, field); } return field in object; },
      getOwnPropertyDescriptor: function (object, field) {
        if (isRead(field)) { note(root, port, field); }
        return getOwn(object, field);
      },
      ownKeys: function (object) { note(root, port, "*"); return ownKeys(object); },
      set: function (object, field, value, receiver) {
        var own = receiver[secret];
        if (own === undefined || own.object !== object) { return set(object, field, value, receiver); }
        object[field] = value;
        return true;
      }
    };
  }

  function isField(field) { return typeof field === "string" && field in fields; }

  function guarded(value, handler) {
    if (value === null || typeof value !== "object") { return value; }
    var names = keys(value);
    for (var index = 0; index < names.length; index += 1) {
      var inner = value[names[index]];
      if (inner !== null && typeof inner === "object") { value[names[index]] = guarded(inner, handler); }
    }
    if (value.class !== "File" && value.class !== "Directory") { return value; }
    anyGuarded = true;
    return new ProxyType(value, handler);
  }

  function guardOne(holder, name, root, port) {
    var own = getOwn(holder, name); // what is not known yet has no value
    if (own !== undefined && own.value) { holder[name] = guarded(own.value, guardian(root, port, isField)); }
  }

  function watch() {
    var inputs = globalThis.inputs, runtime = globalThis.runtime;
    var ports = inputs !== null && typeof inputs === "object" ? keys(inputs) : [];
    for (var index = 0; index < ports.length; index += 1) { guardOne(inputs, ports[index], "inputs", ports[index]); }
    guardOne(globalThis, "self", "self", "");
    if (runtime !== null && typeof runtime === "object") {
      globalThis.runtime = new ProxyType(runtime, guardian("runtime", "", function (field) {
        return getOwn(runtime, field) !== undefined;
      }));
    }
  }

  function recordingChance(name, original) {
    return function () { note("chance", "", name); return apply(original, this, arguments); };
  }

  function watchChance() {
    var DateType = Date;
    Math.random = recordingChance("Math.random", Math.random);
    Date.now = recordingChance("Date.now", Date.now);
    globalThis.Date = new ProxyType(DateType, {
      apply: function () { note("chance", "", "Date"); return DateType(); },
      construct: function (target, given, made) {
        if (given.length === 0) { note("chance", "", "Date"); }
        return construct(target, given, made);
      }
    });
    DateType.prototype.constructor = globalThis.Date;
    globalThis.performance = {now: recordingChance("performance.now", performance.now.bind(performance))};
  }

  function unguarded(name, value) {
    var own = value !== null && typeof value === "object" ? value[secret] : undefined;
    if (own === undefined) { return value; }
    note(own.root, own.port, "passed");
    return own.object;
  }

  watchChance();
  return function recorder(part) {
    return {watch: watch, replacer: anyGuarded ? unguarded : null, reads: function () { return keys(reads); }}[part];
  };
})()
"""


class Request(NamedTuple):
    """What is to be evaluated.

    Attributes:
        recording: Whether to record what the expression reads.
        library: ``expressionLib`` and the variables ``inputs``, ``self`` and ``runtime``.
        expression: The text between ``$`` and the end of the CWL expression, with its parentheses or braces.
    """

    recording: bool
    library: str
    expression: str

    def packed(self) -> bytes:
        """Return it as it is written."""
        library, expression = _encode(self.library), _encode(self.expression)
        return _REQUEST.pack(self.recording, len(library), len(expression)) + library + expression

    @classmethod
    def read(cls, stream: BinaryIO) -> "Request | None":
        """Return the next one of a stream, or None at its end."""
        header = stream.read(_REQUEST.size)
        if not header:
            return None
        recording, library_size, expression_size = _REQUEST.unpack(header)
        return cls(recording, stream.read(library_size).decode(), stream.read(expression_size).decode())


class Reply(IntEnum):
    """What became of an expression."""

    VALUE = 0  # text: the value as JSON, a line break, and what was read
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
    """A context in which nothing of a document has run yet, and the functions that evaluate and record in it."""

    def __init__(self, engine: ModuleType, limits: Limits, *, recording: bool = False) -> None:
        self.engine = engine
        self.limits = limits
        self.context: Context = engine.Context()
        self.context.set_memory_limit(limits.memory_bytes)
        self.context.set_max_stack_size(_STACK_BYTES)
        self.context.set_time_limit(limits.timeout_s)
        self.run = cast("Callable[..., str | None]", self.context.eval(_PRELUDE))
        self._recorder = self._compiled_recorder() if recording else None

    @property
    def recorder(self) -> Callable[[str], object]:
        """What gives the parts of the recorder by name."""
        self._recorder = self._recorder or self._compiled_recorder()
        return self._recorder

    def _compiled_recorder(self) -> Callable[[str], object]:
        return cast("Callable[[str], object]", self.context.eval(_RECORDER))


def evaluate(prepared: Prepared, request: Request) -> tuple[Reply, str]:
    """Evaluate an expression in a context that none has seen.

    Returns:
        What became of it, and the text that goes with that.
    """
    engine, context = prepared.engine, prepared.context
    place = Reply.THREW_IN_LIBRARY
    try:
        recorder = prepared.recorder if request.recording else None
        context.eval('"use strict";' + request.library)
        if recorder is not None:
            prepared.run(recorder("watch"))
        place = Reply.THREW_IN_EXPRESSION
        function = context.eval('"use strict";(function()' + _body(request.expression) + ")")
        value = prepared.run(function, None if recorder is None else recorder("replacer"))
        reads = "[]" if recorder is None else prepared.run(recorder("reads"))
    except engine.StackOverflow as error:
        return Reply.STACK_OVERFLOW, str(error)
    except engine.JSException as error:
        return _failure(str(error), place)
    except MemoryError:
        return Reply.OUT_OF_MEMORY, ""
    if value is None:
        return Reply.UNDEFINED, ""
    if len(value) > prepared.limits.result_bytes:
        return Reply.TOO_LARGE, str(len(value))
    return Reply.VALUE, f"{value}\n{reads}"


def _encode(script: str) -> bytes:
    # Half surrogates and NUL can only stand in string literals, where their escapes mean the same.
    return _UNWRITABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", script).encode()


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
    """Answer requests until there are no more; the next context is made while nobody waits, for one like the last."""
    prepared = Prepared(engine, limits)
    while request := Request.read(requests):
        _allow_processor_time(limits.timeout_s)
        reply, text = evaluate(prepared, request)
        payload = text.encode()
        replies.write(REPLY.pack(reply, len(payload)) + payload)
        replies.flush()
        prepared = Prepared(engine, limits, recording=request.recording)


def main(arguments: list[str]) -> None:
    """Serve standard input, given the extension's file, the time limit in seconds and the memory limit in MiB."""
    extension, timeout_s, memory_mib = arguments
    engine = load_engine(extension)
    limits = Limits(timeout_s=float(timeout_s), memory_mib=int(memory_mib))
    _confine(limits)
    serve(engine, limits, sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main(sys.argv[1:])
