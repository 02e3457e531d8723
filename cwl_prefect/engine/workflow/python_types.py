"""CWL types as Python writes them, for signatures that people read and for code that type checkers read."""

from collections.abc import Callable
from typing import TypeAlias, assert_never

from cwl_prefect.engine.workflow.cwl_types import ArrayType, CwlType, EnumType, Primitive, RecordType, UnionType

NameOfRecord: TypeAlias = Callable[[RecordType], str]

_NAMES = {
    "null": "None",
    "boolean": "bool",
    "int": "int",
    "long": "int",
    "float": "float",
    "double": "float",
    "string": "str",
    "File": "File",
    "Directory": "Directory",
    "Any": "object",
}
_PATHS = ("Path", "str")


def _plain_record(_record: RecordType) -> str:
    return "dict[str, object]"


def python_type(cwl_type: CwlType, *, given: bool, record: NameOfRecord = _plain_record) -> str:
    """Write a CWL type as an annotation, with ``None`` last.

    Args:
        cwl_type: The type.
        given: Whether it is of a value that the user gives: a path will do for a File or Directory then.
        record: Names the type of a record.
    """
    parts = dict.fromkeys(_alternatives(cwl_type, given=given, record=record))
    return " | ".join(sorted(parts, key="None".__eq__))


def _alternatives(cwl_type: CwlType, *, given: bool, record: NameOfRecord) -> tuple[str, ...]:
    match cwl_type:
        case Primitive(name=name):
            return (_NAMES[name], *(_PATHS if given and name in ("File", "Directory") else ()))
        case EnumType(symbols=symbols):
            return (f"Literal[{', '.join(map(repr, symbols))}]",)
        case ArrayType(items=items):
            return (f"list[{python_type(items, given=given, record=record)}]",)
        case RecordType():
            return (record(cwl_type),)
        case UnionType(members=members):
            return tuple(part for member in members for part in _alternatives(member, given=given, record=record))
        case _:
            assert_never(cwl_type)
