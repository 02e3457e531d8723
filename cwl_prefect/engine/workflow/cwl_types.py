"""CWL types as data: read once from a plan, then matched by whoever draws forms, templates or signatures from them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from pydantic import JsonValue

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "string", "File", "Directory", "Any"})
_SAME_AS = {"stdin": "File", "stdout": "File", "stderr": "File"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Primitive:
    """A type without parts; ``name`` is one of :data:`PRIMITIVES`."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnumType:
    """One of several symbols."""

    symbols: tuple[str, ...]
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayType:
    """Any number of values of one type."""

    items: "CwlType"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of a record."""

    name: str
    type: "CwlType"
    label: str | None = None
    doc: str | None = None

    @property
    def required(self) -> bool:
        """Whether a record must have it."""
        return not is_optional(self.type)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordType:
    """Named fields."""

    fields: tuple[Field, ...]
    name: str | None = None
    label: str | None = None
    doc: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnionType:
    """A value of any of several types, null among them where it is optional."""

    members: tuple["CwlType", ...]


CwlType: TypeAlias = Primitive | EnumType | ArrayType | RecordType | UnionType

ANY = Primitive(name="Any")
NULL = Primitive(name="null")


def parse_type(declared: JsonValue) -> CwlType:
    """Read a type as a plan holds it; what is not known is taken as Any (CWL CommandLineTool, §CWLType)."""
    if isinstance(declared, str):
        return _parse_name(declared)
    if isinstance(declared, list):
        members = tuple(dict.fromkeys(parse_type(member) for member in declared))
        return members[0] if len(members) == 1 else UnionType(members=members)
    return _parse_schema(declared) if isinstance(declared, dict) else ANY


def members(cwl_type: CwlType) -> tuple[CwlType, ...]:
    """Return the types of which a value may be any."""
    return cwl_type.members if isinstance(cwl_type, UnionType) else (cwl_type,)


def is_optional(cwl_type: CwlType) -> bool:
    """Check whether null is a value of a type."""
    return NULL in members(cwl_type)


def without_null(cwl_type: CwlType) -> CwlType:
    """Return what a value has when it is there."""
    if not isinstance(cwl_type, UnionType):
        return cwl_type
    members = tuple(member for member in cwl_type.members if member != NULL)
    return members[0] if len(members) == 1 else UnionType(members=members)


def describe_type(cwl_type: CwlType) -> str:
    """Write a type as short as CWL allows, as ``File[]?`` or ``int | string``."""
    match cwl_type:
        case Primitive(name=name):
            return name
        case EnumType(name=name):
            return name or "enum"
        case RecordType(name=name):
            return name or "record"
        case ArrayType(items=items):
            inner = describe_type(items)
            return f"({inner})[]" if " " in inner or inner.endswith("?") else f"{inner}[]"
        case UnionType():
            present = without_null(cwl_type)
            if isinstance(present, UnionType):
                inner = " | ".join(describe_type(member) for member in present.members)
                return f"({inner})?" if is_optional(cwl_type) else inner
            return f"{describe_type(present)}?"
        case _:
            assert_never(cwl_type)


def _parse_name(name: str) -> CwlType:
    if name.endswith("?"):
        return UnionType(members=(NULL, parse_type(name[:-1])))
    if name.endswith("[]"):
        return ArrayType(items=parse_type(name[:-2]))
    known = _SAME_AS.get(name, name)
    return Primitive(name=known) if known in PRIMITIVES else ANY


def _parse_schema(declared: Mapping[str, JsonValue]) -> CwlType:
    match declared.get("type"):
        case "array":
            return ArrayType(items=parse_type(declared.get("items")))
        case "enum":
            return EnumType(symbols=tuple(_texts(declared.get("symbols"))), name=_text(declared, "name"))
        case "record":
            return RecordType(
                fields=tuple(_fields(declared.get("fields"))),
                name=_text(declared, "name"),
                label=_text(declared, "label"),
                doc=_text(declared, "doc"),
            )
        case nested:
            return parse_type(nested)


def _fields(declared: JsonValue) -> Iterator[Field]:
    for entry in declared if isinstance(declared, list) else ():
        if isinstance(entry, dict):
            yield Field(
                name=_text(entry, "name") or "",
                type=parse_type(entry.get("type")),
                label=_text(entry, "label"),
                doc=_text(entry, "doc"),
            )


def _texts(declared: JsonValue) -> Iterator[str]:
    return (str(entry) for entry in declared) if isinstance(declared, list) else iter(())


def _text(declared: Mapping[str, JsonValue], key: str) -> str | None:
    value = declared.get(key)
    if isinstance(value, list):
        return "\n".join(str(line) for line in value)
    return value if isinstance(value, str) else None
