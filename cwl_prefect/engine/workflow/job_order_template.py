"""A job order to fill in: every input of a workflow with what is known of it."""

import io
import textwrap
from collections.abc import Iterator, Mapping
from typing import assert_never

from pydantic import JsonValue
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from cwl_prefect.engine.workflow.cwl_types import (
    ArrayType,
    CwlType,
    EnumType,
    Field,
    Primitive,
    RecordType,
    UnionType,
    describe_type,
    parse_type,
    without_null,
)
from cwl_prefect.model.plan import InputPort, WorkflowPlan

_WIDTH = 118
_NOT_TEXT_TO_ALL = frozenset({"y", "n", "yes", "no", "on", "off"})  # YAML 1.1 takes them for booleans
EXAMPLES: Mapping[str, JsonValue] = {
    "null": None,
    "boolean": False,
    "int": 0,
    "long": 0,
    "float": 0.0,
    "double": 0.0,
    "string": "text",
    "File": {"class": "File", "path": "path/to/file"},
    "Directory": {"class": "Directory", "path": "path/to/directory"},
    "Any": "anything",
}


def job_order_template(plan: WorkflowPlan) -> str:
    """Write a commented YAML job order that has every input of a workflow.

    Required inputs have example values; optional ones are commented out with their default or an example, so that the
    template is a job order as it stands.
    """
    heading = [*_comment(f"Inputs of {_one_line(plan.label or plan.name)}"), *_comment(plan.doc)]
    sections = ["\n".join(heading), *("\n".join(_section(port)) for port in plan.inputs)]
    if not any(port.required for port in plan.inputs):
        sections.append("{}")  # comments alone are not a mapping
    return "\n\n".join(sections) + "\n"


def _section(port: InputPort) -> Iterator[str]:
    cwl_type = parse_type(port.type)
    yield from _comment(port.label)
    if port.doc != port.label:
        yield from _comment(port.doc)
    yield from _comment(f"{describe_type(cwl_type)}, {_necessity(port)}")
    yield from _notes(without_null(cwl_type))
    for name in port.format:
        yield from _comment(f"format: {name}")
    value = port.default if port.default is not None else example(cwl_type)
    lines = _yaml({port.id: value})
    yield from lines if port.required else (f"# {line}" for line in lines)


def _necessity(port: InputPort) -> str:
    if port.required:
        return "required"
    return "optional" if port.default is None else "optional, with a default"


def example(cwl_type: CwlType, examples: Mapping[str, JsonValue] = EXAMPLES) -> JsonValue:
    """Return a value of a type, for people to replace.

    Args:
        cwl_type: The type.
        examples: Values of the primitive types.
    """
    match cwl_type:
        case Primitive(name=name):
            return examples[name]
        case EnumType(symbols=symbols):
            return symbols[0] if symbols else ""
        case ArrayType(items=items):
            return [example(items, examples)]
        case RecordType(fields=fields):
            return {field.name: example(field.type, examples) for field in fields}
        case UnionType():
            present = without_null(cwl_type)
            return example(present.members[0] if isinstance(present, UnionType) else present, examples)
        case _:
            assert_never(cwl_type)


def _notes(cwl_type: CwlType, place: str = "") -> Iterator[str]:
    """Return what a type's name does not: the symbols of enums, and the fields of records."""
    match cwl_type:
        case EnumType(symbols=symbols):
            yield from _comment(f"{place}one of: {', '.join(symbols)}")
        case ArrayType(items=items):
            yield from _notes(without_null(items), place)
        case RecordType(fields=fields):
            for field in fields:
                yield from _comment(f"{place}{field.name}: {_about(field)}")
                yield from _notes(without_null(field.type), f"{place}{field.name}: ")
        case UnionType(members=members):
            for member in members:
                yield from _notes(member, place)
        case Primitive():
            return


def _about(field: Field) -> str:
    said = field.doc or field.label
    necessity = "required" if field.required else "optional"
    return f"{describe_type(field.type)}, {necessity}" + (f"; {_one_line(said)}" if said else "")


def _comment(text: str | None) -> Iterator[str]:
    for line in (text or "").strip().splitlines():
        # Whatever else ends a line to YAML would end the comment.
        printable = "".join(character if character.isprintable() else " " for character in line).rstrip()
        yield from (f"# {part}".rstrip() for part in textwrap.wrap(printable, _WIDTH, break_long_words=False) or [""])


def _yaml(value: JsonValue) -> list[str]:
    writer = YAML(pure=True)
    writer.width = 4096
    text = io.StringIO()
    writer.dump(_quoted(value), text)
    return text.getvalue().rstrip("\n").split("\n")


def _quoted(value: JsonValue) -> object:
    if isinstance(value, list):
        return [_quoted(item) for item in value]
    if isinstance(value, dict):
        return {_quoted(name): _quoted(item) for name, item in value.items()}
    if isinstance(value, str) and (not value.isprintable() or value.lower() in _NOT_TEXT_TO_ALL):
        return DoubleQuotedScalarString(value)
    return value


def _one_line(text: str) -> str:
    return " ".join(text.split())
