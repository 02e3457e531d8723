"""Types of CWL as frozen data, and which of them a value is of (CWL CommandLineTool, §CWLType)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from cwl_prefect.errors import UnsupportedError
from cwl_prefect.model.names import short_name

NO_FIT = -1
_WHOLE_NUMBERS = {"int": 2**31, "long": 2**63}
_PLAIN = frozenset({"null", "boolean", "int", "long", "float", "double", "string", "File", "Directory", "Any", "stdin"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What a document wants to be known of the files of a parameter, whatever is around them."""

    secondary_files: tuple[Mapping[str, Any], ...] = ()
    format: Any = None
    load_contents: bool = False
    load_listing: str | None = None


@dataclass(frozen=True, slots=True)
class Plain:
    """A type that is a name alone."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Enum:
    """One of several texts."""

    symbols: tuple[str, ...]
    binding: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """A list whose items are of one type."""

    items: "CwlType"
    binding: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """An input, an output or a field of a record.

    Attributes:
        output: ``outputBinding`` of an output or its field.
    """

    name: str
    type: "CwlType"
    default: Any = None
    binding: Mapping[str, Any] | None = None
    output: Mapping[str, Any] | None = None
    details: Details = field(default_factory=Details)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A mapping with fields of their own types."""

    fields: tuple[Parameter, ...]
    binding: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Union:
    """One of several types."""

    options: tuple["CwlType", ...]


CwlType: TypeAlias = Plain | Enum | Array | Record | Union

ANY = Plain("Any")


def parameters(declared: Iterable[Mapping[str, Any]], named: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """Return the parameters that a document declares.

    Args:
        declared: Entries of ``inputs``, ``outputs`` or ``fields``.
        named: Types of SchemaDefRequirement by their names.
    """
    return tuple(_parameter(entry, named) for entry in declared)


def fit(declared: CwlType, value: Any) -> int:
    """Return how much of a value a type describes, or ``NO_FIT`` where the value is not of the type.

    Of several types of a union the one that describes most is meant: a record whose fields are given, rather than one
    that leaves some of them out of account, and ``Any`` last.
    """
    match declared:
        case Plain(name=name):
            return _fit_plain(name, value)
        case Enum(symbols=symbols):
            return 2 if isinstance(value, str) and value in symbols else NO_FIT
        case Union(options=options):
            return max((fit(option, value) for option in options), default=NO_FIT)
        case Array(items=items):
            return _sum(fit(items, item) for item in value) if isinstance(value, list) else NO_FIT
        case Record(fields=fields):
            if not isinstance(value, dict) or ("class" in value and not any(known.name == "class" for known in fields)):
                return NO_FIT
            return _sum(_fit_field(known, value) for known in fields)


def branch(declared: CwlType, value: Any) -> CwlType | None:
    """Return the type of a union that describes most of a value, the first of several; None where none does."""
    if not isinstance(declared, Union):
        return declared if fit(declared, value) != NO_FIT else None
    found = [(fit(option, value), -place) for place, option in enumerate(declared.options)]
    best, place = max(found, default=(NO_FIT, 0))
    if best == NO_FIT:
        return None
    return branch(declared.options[-place], value)


def accepts_null(declared: CwlType) -> bool:
    """Check whether null is of a type."""
    return fit(declared, None) != NO_FIT


def _sum(fits: Iterable[int]) -> int:
    total = 1
    for found in fits:
        if found == NO_FIT:
            return NO_FIT
        total += found
    return total


def _fit_field(known: Parameter, value: Mapping[str, Any]) -> int:
    given = value.get(known.name)
    if given is None:
        return 0 if known.default is not None or accepts_null(known.type) or known.type == ANY else NO_FIT
    found = fit(known.type, given)
    return NO_FIT if found == NO_FIT else found + 1


def _fit_plain(name: str, value: Any) -> int:
    if name == "Any":
        return 0 if value is not None else NO_FIT
    return 1 if _is_plain(name, value) else NO_FIT


def _is_plain(name: str, value: Any) -> bool:  # noqa: PLR0911 - one line for each name
    match name:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "int" | "long":
            limit = _WHOLE_NUMBERS[name]
            return isinstance(value, int) and not isinstance(value, bool) and -limit <= value < limit
        case "float" | "double":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case "File" | "Directory":
            return isinstance(value, dict) and value.get("class") == name
        case _:
            return False


def _parameter(entry: Mapping[str, Any], named: Mapping[str, Any], around: frozenset[str] = frozenset()) -> Parameter:
    return Parameter(
        name=short_name(str(entry.get("id") or entry.get("name"))),
        type=parse(entry["type"], named, around),
        default=entry.get("default"),
        binding=entry.get("inputBinding"),
        output=entry.get("outputBinding"),
        details=Details(
            secondary_files=_secondary_files(entry.get("secondaryFiles")),
            format=entry.get("format"),
            load_contents=bool(entry.get("loadContents") or (entry.get("inputBinding") or {}).get("loadContents")),
            load_listing=entry.get("loadListing"),
        ),
    )


def _secondary_files(declared: Any) -> tuple[Mapping[str, Any], ...]:
    entries = declared if isinstance(declared, list) else [] if declared is None else [declared]
    return tuple(entry if isinstance(entry, Mapping) else {"pattern": entry} for entry in entries)


def parse(declared: Any, named: Mapping[str, Any], around: frozenset[str] = frozenset()) -> CwlType:
    """Return a type that a document declares.

    Raises:
        UnsupportedError: It is of no known kind, or contains itself.
    """
    if isinstance(declared, list):
        return Union(tuple(parse(option, named, around) for option in declared))
    if isinstance(declared, str):
        if declared in _PLAIN or "w3id.org/cwl/" in declared:
            return Plain(short_name(declared))
        if declared in around or declared not in named:
            raise UnsupportedError(f"the type {short_name(declared)} is unknown, or contains itself.")
        return parse(named[declared], named, around | {declared})
    return _parse_schema(declared, named, around)


def _parse_schema(declared: Mapping[str, Any], named: Mapping[str, Any], around: frozenset[str]) -> CwlType:
    kind, binding = declared.get("type"), declared.get("inputBinding")
    if kind == "array":
        return Array(items=parse(declared["items"], named, around), binding=binding)
    if kind == "enum":
        return Enum(symbols=tuple(short_name(str(symbol)) for symbol in declared["symbols"]), binding=binding)
    if kind == "record":
        fields = declared.get("fields") or ()
        return Record(fields=tuple(_parameter(entry, named, around) for entry in fields), binding=binding)
    return parse(kind, named, around)
