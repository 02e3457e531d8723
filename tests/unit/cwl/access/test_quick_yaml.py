"""What is read quickly is what schema-salad reads, with the same places, or is left to it."""

from io import StringIO
from pathlib import Path

import pytest
from schema_salad.utils import yaml_no_ts

from cwl_prefect.cwl.access.quick_yaml import parsed_quickly

PROJECT = Path(__file__).parents[4]
DOCUMENTS = [*PROJECT.glob("examples/cwl/**/*.cwl"), *PROJECT.glob("tests/messages/**/*.cwl")]
ODD = """# a comment
a: yes
b: [0o17, 0x1f, 1e3, 2020-01-01, "q", 'r', ~, -.inf]
c: |
  literal
   text

d: >-
  folded
  text
e: &anchor {x: 1, y: [1, 2]}
f: *anchor
g: {<<: *anchor, x: 2}
? h
: "ü \\u00e9 𝄞"
i:
- 1
- - 2
  - k: 3
"""


def slowly(text: str) -> object:
    reader = yaml_no_ts()
    reader.allow_duplicate_keys = True
    return next(reader.load_all(StringIO(text)))


def placed(node: object) -> object:
    """Return a value with the places of all that is in it, and the types of its texts."""
    if isinstance(node, dict):
        inner = [(key, type(key), placed(value)) for key, value in node.items()]
        return type(node), node.lc.line, node.lc.col, node.lc.data, inner
    if isinstance(node, list):
        return type(node), node.lc.line, node.lc.col, node.lc.data, [placed(item) for item in node]
    return type(node), repr(node)


def test_documents_are_read_as_schema_salad_reads_them():
    read = {path: parsed_quickly(text) for path in DOCUMENTS if (text := path.read_text())}
    assert sum(value is not None for value in read.values()) > 50
    for path, value in read.items():
        if value is not None:
            assert placed(value) == placed(slowly(path.read_text())), path


@pytest.mark.parametrize("text", [ODD, "{a: 1}", "[1]\n", "a: 1\n---\nb: 2\n"], ids=range(4))
def test_odd_texts_are_read_alike(text):
    assert placed(parsed_quickly(text)) == placed(slowly(text))


@pytest.mark.parametrize(
    "text", ["a: [", "a: !x 1", "%YAML 1.1\n---\na: yes\n", "a:\t1", "[" * 100_000, "a: *b", "a:\n", ""], ids=range(8)
)
def test_all_else_is_left_to_its_own_parser(text):
    assert parsed_quickly(text) is None
