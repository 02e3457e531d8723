"""The words of CWL with what the specification says of them: classes, their fields, and the values that these take."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from cwltool.process import get_schema, shortname
from schema_salad.avro.schema import ArraySchema, EnumSchema, NamedSchema, RecordSchema, UnionSchema

from cwl_prefect.cwl.loading.load import quiet_libraries, use_extensions

_VERSION = "v1.2"
_OF_CWL = "org.w3id.cwl.cwl."
_NO_VALUES = frozenset({"null", "Any", "ExpressionPlaceholder"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A field.

    Attributes:
        name: Its name.
        doc: What the specification says of it; Markdown.
        values: The words that it takes, as those of an enum; empty where it takes anything.
    """

    name: str
    doc: str
    values: tuple[str, ...]


def doc_of_class(name: str) -> str | None:
    """Return what the specification says of a class of processes or requirements; None for other names."""
    record = _names().get(f"{_OF_CWL}{name}")
    return _doc(record) if isinstance(record, RecordSchema) else None


def fields_at(process: str, path: Sequence[str]) -> tuple[Term, ...]:
    """Return the fields that an entry of a process may have.

    Args:
        process: The class of the process.
        path: The way to the entry, from the process on: names of fields, and of entries in lists and maps their ids,
            classes or numbers.
    """
    records = _records_at(process, path)
    terms = {field.name: _term(field) for record in records for field in record.fields}
    return tuple(terms.values())


def _records_at(process: str, path: Sequence[str]) -> list[Any]:
    records: list[Any] = [record for record in [_names().get(f"{_OF_CWL}{process}")] if record is not None]
    rest = list(path)
    while rest and records:
        name = rest.pop(0)
        field = next((each for record in records for each in record.fields if each.name == name), None)
        if field is None:
            return []
        records = list(_records(field.type))
        subject = _subject(field)
        if rest and (subject is not None or rest[0].isdigit()):
            entry = rest.pop(0)
            named = _names().get(f"{_OF_CWL}{entry}") if subject == "class" else None
            records = [named] if named is not None else records
    return records


def _subject(field: Any) -> str | None:
    """Return the field by which the entries of a map are named, where a list may be written as a map."""
    predicate = field.get_prop("jsonldPredicate")
    return predicate.get("mapSubject") if isinstance(predicate, Mapping) else None


def _records(declared: Any) -> Iterator[Any]:
    if isinstance(declared, RecordSchema):
        yield declared
    elif isinstance(declared, UnionSchema):
        for each in declared.schemas:
            yield from _records(each)
    elif isinstance(declared, ArraySchema):
        yield from _records(declared.items)


def _term(field: Any) -> Term:
    values = dict.fromkeys(value for value in _values(field.type) if value not in _NO_VALUES)
    return Term(name=field.name, doc=_doc(field), values=tuple(values))


def _values(declared: Any) -> Iterator[str]:
    if isinstance(declared, EnumSchema):
        yield from (shortname(symbol) for symbol in declared.symbols)
    elif isinstance(declared, UnionSchema):
        for each in declared.schemas:
            yield from _values(each)
    elif not isinstance(declared, NamedSchema) and getattr(declared, "type", None) == "boolean":
        yield from ("true", "false")


def _doc(described: Any) -> str:
    text = described.get_prop("doc")
    return "\n".join(text) if isinstance(text, list) else str(text or "")


@cache
def _names() -> Mapping[str, Any]:
    quiet_libraries()
    use_extensions()
    _, names, _, _ = get_schema(_VERSION)
    if isinstance(names, Exception):
        raise names
    return dict(names.names)
