"""Whether an expression can be evaluated: its syntax, and the names that it reads."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from cwl_prefect._lib.suggestions import did_you_mean, near
from cwl_prefect.cwl.javascript import engine, references
from cwl_prefect.cwl.javascript.engine import JavascriptError
from cwl_prefect.cwl.javascript.scanner import Expression, scan, short_source
from cwl_prefect.cwl.javascript.uses import Use
from cwl_prefect.cwl.loading.places import place_of
from cwl_prefect.cwl.values.types import Array, CwlType, Plain, Record
from cwl_prefect.model.findings import Finding, Severity

_FILE = ("class", "path", "location", "basename", "dirname", "nameroot", "nameext", "size", "checksum", "contents")
_FIELDS = {
    "File": (*_FILE, "format", "secondaryFiles", "streamable"),
    "Directory": ("class", "path", "location", "basename", "listing"),
}
_RUNTIME = ("outdir", "tmpdir", "cores", "ram", "outdirSize", "tmpdirSize", "cudaDeviceCount")
_READS = re.compile(r"""(?<![\w.$])inputs\s*(?:\.\s*([A-Za-z_]\w*)|\[\s*(?:'([^'\\]+)'|"([^"\\]+)")\s*\])""")
_DECLARED_ANEW = re.compile(r"\b(?:var|let|const)\s+inputs\b|function\s*\w*\s*\([^)]*\binputs\b|\binputs\s*=>")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_JAVASCRIPT = "InlineJavascriptRequirement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What expressions of a process or step may read.

    Attributes:
        inputs: The inputs with their types; None where they are not known.
        javascript: Whether there may be JavaScript.
        old_escapes: Whether a backslash stands for what is after it, as up to CWL v1.1.
        runtime: Whether they see what the call is given.
        owner: What the inputs are of, as errors name it.
    """

    inputs: Mapping[str, CwlType] | None
    javascript: bool
    old_escapes: bool
    runtime: bool
    owner: str


def findings_of_use(use: Use, sight: Sight) -> Iterator[Finding]:
    """Yield what is wrong with the expressions of a text."""
    try:
        parts = scan(use.text, old_escapes=sight.old_escapes)
    except JavascriptError as error:
        yield _error(use, "expression-syntax", error.message, error.hint)
        return
    for part in parts:
        if isinstance(part, Expression):
            yield from _of_expression(part.source, use, sight)


def _of_expression(source: str, use: Use, sight: Sight) -> Iterator[Finding]:
    path = references.parse(source)
    if path is not None:
        yield from _of_reference(path, use, sight)
    elif not sight.javascript:
        fix = f"Add `{_JAVASCRIPT}: {{}}` to the requirements, or use a parameter reference such as $(inputs.name)."
        text = f"${short_source(source)} is JavaScript, which needs {_JAVASCRIPT}."
        yield _error(use, "javascript-not-required", text, fix)
    elif (wrong := syntax_error(source)) is not None:
        yield _error(use, "expression-syntax", f"${short_source(source)}: {wrong}.", "Correct the JavaScript.")
    else:
        yield from _of_javascript(source, use, sight)


def _of_reference(path: references.Path, use: Use, sight: Sight) -> Iterator[Finding]:
    first, *rest = path
    written = f"$({references.written(path)})"
    if first == "inputs" and rest and sight.inputs is not None:
        yield from _of_inputs(written, rest, sight.inputs, use, sight)
    elif first == "self" and rest and not use.has_self:
        fix = "Read an input, as in $(inputs.name)."
        yield _error(use, "unknown-reference", f"{written}: self is null here.", fix)
    elif first == "runtime" and rest and sight.runtime:
        known = (*_RUNTIME, "exitCode") if use.of_outputs else _RUNTIME
        if rest[0] not in known:
            advice = did_you_mean(str(rest[0]), known, otherwise="it has")
            yield _error(use, "unknown-reference", f"{written}: runtime has no {rest[0]!r}; {advice}", None)
    elif first not in ("inputs", "self", "runtime", "null") and not sight.javascript:
        fix = "A parameter reference begins with inputs, self or runtime."
        yield _error(use, "unknown-reference", f"{written}: {first} is unknown here.", fix)


def _of_inputs(
    written: str, rest: list[str | int], inputs: Mapping[str, CwlType], use: Use, sight: Sight
) -> Iterator[Finding]:
    name, *inner = rest
    if str(name) not in inputs:
        advice = did_you_mean(str(name), inputs, otherwise="it has")
        yield _error(use, "unknown-reference", f"{written}: {sight.owner} has no input {name!r}; {advice}", None)
        return
    declared = inputs[str(name)]
    if not inner or not isinstance(inner[0], str):
        return
    match declared:
        case Plain(name="File" | "Directory" as kind):
            known = _FIELDS[kind]
        case Record(fields=fields):
            known = tuple(field.name for field in fields)
        case Array() if not sight.javascript and inner != ["length"]:
            fix = f"Take one, as in $(inputs.{name}[0]), or require {_JAVASCRIPT} and use JavaScript."
            yield _error(use, "unknown-reference", f"{written}: inputs.{name} is an array.", fix)
            return
        case _:
            return
    if inner[0] not in known:
        advice = did_you_mean(inner[0], known, otherwise="it has")
        yield _error(use, "unknown-reference", f"{written}: inputs.{name} has no {inner[0]!r}; {advice}", None)


def _of_javascript(source: str, use: Use, sight: Sight) -> Iterator[Finding]:
    """Yield inputs that JavaScript reads and that do not exist: to it, each of them is undefined.

    That may be meant, so that only a name that is like one of the inputs is taken for an error.
    """
    if sight.inputs is None or _DECLARED_ANEW.search(source):
        return
    for name in dict.fromkeys(read_inputs(source)):
        if name in sight.inputs or name == "hasOwnProperty":
            continue
        meant = near(name, sight.inputs)
        advice = did_you_mean(name, sight.inputs, otherwise="it has")
        text = f"inputs.{name} is undefined: {sight.owner} has no input {name!r}; {advice}"
        severity = Severity.WARNING if meant is None else Severity.ERROR
        yield Finding(check="unknown-reference", severity=severity, message=text, place=place_of(use.node, use.key))


def read_inputs(source: str) -> list[str]:
    """Return the names of the inputs that a text of JavaScript reads by their names."""
    return ["".join(found.groups("")) for found in _READS.finditer(_COMMENT.sub(" ", source))]


@lru_cache(maxsize=4096)
def syntax_error(source: str) -> str | None:
    """Return what is wrong with the syntax of an expression, with its line; None where nothing is."""
    body = source if source.startswith("{") else f"{{return ({source});}}"
    return _wrong(f"{{return true; (function(){body});}}")


def library_syntax_error(text: str) -> str | None:
    """Return what is wrong with the syntax of an entry of ``expressionLib``."""
    wrong = _wrong(f"{{return true; (function(){{{text}\n}});}}")
    return None if wrong is None else wrong.removesuffix(" of the expression)") + ")"


def _wrong(script: str) -> str | None:
    try:
        engine.installed().eval(script)
    except JavascriptError as error:
        return error.message
    return None


def _error(use: Use, check: str, text: str, fix: str | None) -> Finding:
    place = place_of(use.node, use.key)
    return Finding(check=check, severity=Severity.ERROR, message=text, fix=fix, place=place)
