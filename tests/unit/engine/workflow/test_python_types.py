import pytest

from cwl_prefect.engine.workflow.cwl_types import parse_type
from cwl_prefect.engine.workflow.python_types import python_type

COLOURS = {"type": "enum", "symbols": ["red", "light blue"]}
PAIR = {"type": "record", "name": "pair", "fields": [{"name": "left", "type": "File"}]}


@pytest.mark.parametrize(
    ("cwl_type", "written"),
    [
        ("string", "str"),
        ("long", "int"),
        ("stdout", "File"),
        ("Any", "object"),
        ("int[]?", "list[int] | None"),
        ({"type": "array", "items": ["null", "double"]}, "list[float | None]"),
        (["null", "int", "long", "string"], "int | str | None"),
        (COLOURS, "Literal['red', 'light blue']"),
        (PAIR, "dict[str, object]"),
    ],
    ids=str,
)
def test_types_are_written_as_python_has_them(cwl_type, written):
    assert python_type(parse_type(cwl_type), given=False) == written


@pytest.mark.parametrize(
    ("cwl_type", "written"),
    [
        ("File", "File | Path | str"),
        ("Directory[]?", "list[Directory | Path | str] | None"),
        (["null", "string", "File"], "str | File | Path | None"),
    ],
    ids=str,
)
def test_a_path_will_do_where_a_file_is_given(cwl_type, written):
    assert python_type(parse_type(cwl_type), given=True) == written


def test_records_are_named_by_the_caller():
    assert python_type(parse_type([PAIR, "null"]), given=False, record=lambda found: "Pair") == "Pair | None"
