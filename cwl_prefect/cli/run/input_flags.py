"""Workflow inputs as command-line flags.

``--message hi``, ``--reads a.fq --reads b.fq`` for arrays, ``--trim`` and ``--no-trim`` for booleans, JSON for records.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from cwl_prefect._lib.locations import is_remote
from cwl_prefect._lib.suggestions import near
from cwl_prefect.cli.quantities import json_or_text
from cwl_prefect.cli.run.options import UnknownFlagError
from cwl_prefect.engine.workflow.cwl_types import (
    NULL,
    ArrayType,
    CwlType,
    EnumType,
    Primitive,
    RecordType,
    UnionType,
    describe_type,
    members,
    parse_type,
)
from cwl_prefect.errors import UsageError
from cwl_prefect.model.plan import InputPort
from cwl_prefect.model.values import CwlObject, map_file_objects

HELP = "put --help after the document for its inputs."
WORDS_FOR_TRUTH = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}


class NoMatchError(ValueError):
    """A text is no value of a type."""


@dataclass(frozen=True, slots=True)
class InputArguments:
    """What followed the document on a command line."""

    job_order: str | None
    values: CwlObject


def parse_input_arguments(ports: Sequence[InputPort], arguments: Sequence[str]) -> InputArguments:
    """Read what follows the document: at most one job order, and flags named after the workflow's inputs.

    Relative paths start from the current directory. A flag may repeat where the input is an array.

    Raises:
        UsageError: A flag is unknown, lacks its value, or its value is not of the input's type.
    """
    files, values = files_and_values(ports, arguments)
    if len(files) > 1:
        raise UsageError(
            f"Unexpected argument {files[1]!r}.", hint="give one job order, and the rest as --input VALUE."
        )
    return InputArguments(files[0] if files else None, values)


def files_and_values(
    ports: Sequence[InputPort], arguments: Sequence[str], directory: Path | None = None
) -> tuple[list[str], CwlObject]:
    """Read any number of files, and flags named after the workflow's inputs, in any order.

    Args:
        ports: The workflow's inputs.
        arguments: What follows the document.
        directory: Where relative paths of values start from; the current directory where none is given.

    Raises:
        UsageError: A flag is unknown, lacks its value, or its value is not of the input's type.
    """
    files: list[str] = []
    texts: dict[str, list[str]] = {}
    known = {port.id: port for port in ports}
    for port_id, text in _flags(known, arguments, files):
        texts.setdefault(port_id, []).append(text)
    return files, {
        name: read_input(known[name], given, called=f"Option --{name}", hint=HELP, directory=directory)
        for name, given in texts.items()
    }


def input_named(name: str, known: Iterable[str]) -> str | None:
    """Find the input that a user means, who may write dashes for underscores; None where there is none."""
    ids = list(known)
    by_spelling = {port_id.replace("_", "-"): port_id for port_id in ids}
    return name if name in ids else by_spelling.get(name.replace("_", "-"))


def read_input(
    port: InputPort, texts: Sequence[str], *, called: str, hint: str, directory: Path | None = None
) -> JsonValue:
    """Read what a user wrote as the value of an input; several texts are the items of an array.

    Args:
        port: The input.
        texts: What was written; at least one.
        called: How the user called the input, for errors.
        hint: What to do about a value that does not fit.
        directory: Where relative paths start from; the current directory where none is given.

    Raises:
        UsageError: It is not of the input's type.
    """
    declared = parse_type(port.type)
    try:
        return _located(_value_of_texts(_alternatives(declared), texts), directory or Path.cwd())
    except NoMatchError as exc:
        shown = texts[0] if len(texts[0]) <= 60 else f"{texts[0][:57]}..."
        raise UsageError(f"{called}: {shown!r} is not {_article(describe_type(declared))}: {exc}.", hint=hint) from exc


def is_boolean(port: InputPort) -> bool:
    """Check whether an input is a boolean, optional or not, so that its flag stands alone."""
    return _alternatives(parse_type(port.type)) == [Primitive(name="boolean")]


def _flags(
    known: Mapping[str, InputPort], arguments: Sequence[str], positional: list[str]
) -> Iterator[tuple[str, str]]:
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("--") or argument == "--":
            if argument.startswith("-") and len(argument) > 1 and argument != "--":
                raise _unknown(argument, known)
            positional.extend([argument] if argument != "--" else [])
            continue
        name, separator, text = argument[2:].partition("=")
        port_id, negated = _flag_named(name, known)
        if separator and not negated:
            yield port_id, text
        elif is_boolean(known[port_id]) and not separator:
            yield port_id, "false" if negated else "true"
        else:
            value = None if separator else next(rest, None)
            if value is None:
                raise UsageError(
                    f"Option --{name} needs a value.",
                    hint=f"its type is {describe_type(parse_type(known[port_id].type))}.",
                )
            yield port_id, value


def _flag_named(name: str, known: Mapping[str, InputPort]) -> tuple[str, bool]:
    found = input_named(name, known)
    if found is not None:
        return found, False
    positive = name.removeprefix("no-")
    found = input_named(positive, known)
    if positive != name and found is not None and is_boolean(known[found]):
        return found, True
    raise _unknown(f"--{name}", known)


def _unknown(flag: str, known: Iterable[str]) -> UnknownFlagError:
    meant = near(flag.lstrip("-"), known)
    hint = HELP if meant is None else f"did you mean --{meant}?"
    return UnknownFlagError(f"The workflow has no input for {flag}.", flag=flag, hint=hint)


def _value_of_texts(alternatives: Sequence[CwlType], texts: Sequence[str]) -> JsonValue:
    array = next((each for each in alternatives if isinstance(each, ArrayType)), None)
    if array is None and len(texts) > 1:
        raise NoMatchError("it was given more than once")
    if array is None or texts[0].lstrip().startswith("["):
        return _value(alternatives, texts[0])
    scalars = [each for each in alternatives if each is not array]
    if len(texts) > 1 or not scalars:
        return [_value(_alternatives(array.items), text) for text in texts]
    return _value([*scalars, array], texts[0])


def _value(alternatives: Sequence[CwlType], text: str) -> JsonValue:
    reasons = []
    for alternative in alternatives:
        try:
            return _typed(alternative, text)
        except NoMatchError as exc:
            reasons.append(str(exc))
    raise NoMatchError("; ".join(dict.fromkeys(reasons)) or "it takes no value")


def _typed(kind: CwlType, text: str) -> JsonValue:
    match kind:
        case Primitive(name=name):
            return _plain(name, text)
        case EnumType(symbols=symbols):
            if text not in symbols:
                raise NoMatchError(f"use one of {', '.join(symbols)}")
            return text
        case ArrayType():
            return _json(text, list, "write it as JSON, as in [1, 2]")
        case RecordType():
            return _json(text, dict, 'write it as JSON, as in {"name": "value"}')
        case UnionType():
            return _value(_alternatives(kind), text)


def _plain(name: str, text: str) -> JsonValue:
    match name:
        case "int" | "long":
            return _number(int, text, "it is no whole number")
        case "float" | "double":
            return _number(float, text, "it is no number")
        case "boolean":
            return _boolean(text)
        case "File" | "Directory":
            return _file(name, text)
        case "string":
            return text
        case _:  # Any, as null is no alternative
            return json_or_text(text)


def _number(kind: type[int] | type[float], text: str, problem: str) -> JsonValue:
    try:
        return kind(text)
    except ValueError:
        raise NoMatchError(problem) from None


def _boolean(text: str) -> JsonValue:
    if text.lower() not in WORDS_FOR_TRUTH:
        raise NoMatchError("use true or false")
    return WORDS_FOR_TRUTH[text.lower()]


def _file(class_: str, text: str) -> JsonValue:
    if text.lstrip().startswith("{"):
        return _json(text, dict, "it starts like JSON, but is none")
    return {"class": class_, "path": text}


def _json(text: str, kind: type, advice: str) -> JsonValue:
    try:
        parsed: JsonValue = json.loads(text)
    except ValueError:
        raise NoMatchError(advice) from None
    if not isinstance(parsed, kind):
        raise NoMatchError(advice)
    return parsed


def _located(value: JsonValue, directory: Path) -> JsonValue:
    return map_file_objects(value, lambda file: _with_location(file, directory))


def _with_location(file: CwlObject, directory: Path) -> CwlObject:
    located = dict(file)
    path = located.pop("path", None)
    name = path if path is not None else located.get("location")
    if isinstance(name, str) and not name.startswith("_:"):
        is_url = is_remote(name) or name.startswith("file:")
        located["location"] = name if is_url else (directory / name).absolute().as_uri()
    return located


def _alternatives(kind: CwlType) -> list[CwlType]:
    """Types of a union, the most telling first: a text is an integer before it is a string."""
    return sorted((each for each in members(kind) if each != NULL), key=_strictness)


def _strictness(kind: CwlType) -> int:
    order = ("int", "long", "float", "double", "boolean", "File", "Directory", "string", "Any")
    return order.index(kind.name) + 1 if isinstance(kind, Primitive) else 0


def _article(text: str) -> str:
    return f"an {text}" if text[:1].lower() in "aeiou" else f"a {text}"
