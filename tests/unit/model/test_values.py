import json
from collections import OrderedDict
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cwl_prefect.model.values import (
    MOST_NESTED,
    as_object,
    file_objects,
    is_file_object,
    is_nothing_but_files,
    map_file_objects,
    shown_value,
    unusable,
)

FILE = {"class": "File", "location": "file:///a"}
BIG = {
    "class": "File",
    "location": "file:///big",
    "secondaryFiles": [{"class": "File", "location": "file:///idx"}],
}
DIRECTORY = {"class": "Directory", "location": "file:///d", "listing": [FILE, BIG]}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just(FILE) | st.just(BIG) | st.just(DIRECTORY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (FILE, True),
        (DIRECTORY, True),
        ({"class": "Other"}, False),
        ({}, False),
        ([FILE], False),
        ("File", False),
        (None, False),
    ],
)
def test_files_are_told_from_other_values(value, expected):
    assert is_file_object(value) is expected


def test_each_file_comes_before_what_belongs_to_it():
    found = [entry["location"] for entry in file_objects([{"x": DIRECTORY}, 1, "text", None])]
    assert found == ["file:///d", "file:///a", "file:///big", "file:///idx"]


def test_files_are_changed_innermost_first():
    seen = []
    map_file_objects(DIRECTORY, lambda found: seen.append(found["location"]) or found)
    assert seen == ["file:///a", "file:///idx", "file:///big", "file:///d"]


def test_what_was_changed_within_is_seen_outside():
    changed = map_file_objects(BIG, lambda found: {**found, "seen": True})
    assert changed["seen"]
    assert changed["secondaryFiles"][0]["seen"]
    assert "seen" not in BIG


@given(VALUES)
def test_changing_nothing_gives_an_equal_value(value):
    assert map_file_objects(value, lambda found: found) == value


@given(VALUES)
def test_every_file_is_changed_once(value):
    count = 0

    def change(found):
        nonlocal count
        count += 1
        return found

    map_file_objects(value, change)
    assert count == len(list(file_objects(value)))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"a": ["é😀", 1.5, None]}, {"a": ["é😀", 1.5, None]}),
        ({"\udcff": ["a\udce9.txt"]}, {"?": ["a?.txt"]}),
        ("a\udce9 é", "a? é"),
    ],
    ids=["text", "bytes-within", "bytes"],
)
def test_bytes_that_are_no_text_are_question_marks_in_utf_8(value, written):
    found = shown_value(value, 1000)
    assert found == written
    assert json.dumps(found, ensure_ascii=False).encode()


def test_what_is_too_large_is_not_shown():
    assert shown_value(["a" * 10], 14) == ["a" * 10]
    assert shown_value(["a" * 10], 13) is None


def test_a_dict_is_an_object_as_it_is():
    given = {"a": 1}
    assert as_object(given) is given


@pytest.mark.parametrize("kind", [OrderedDict, MappingProxyType])
def test_any_mapping_becomes_a_dict(kind):
    assert as_object(kind({"a": 1})) == {"a": 1}


@pytest.mark.parametrize("value", [None, [], "text", 5])
def test_anything_else_is_no_object(value):
    with pytest.raises(TypeError, match=type(value).__name__):
        as_object(value)


def nested(levels: int) -> object:
    value: object = "x"
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


@given(VALUES)
def test_values_of_documents_can_be_used(value):
    assert unusable(value) is None


@pytest.mark.parametrize("value", ["é", "😀", "\udcff", [{"a": "\udc80"}], nested(MOST_NESTED)], ids=ascii)
def test_texts_names_of_any_bytes_and_some_nesting_can_be_used(value):
    assert unusable(value) is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(nested(MOST_NESTED + 1), "nested deeper than 100 levels", id="one-level-too-deep"),
        pytest.param(nested(100_000), "nested deeper than 100 levels", id="far-too-deep"),
        pytest.param("\ud800", "half of a character", id="first-half"),
        pytest.param([{"a": "x\udfff"}], "half of a character", id="second-half-inside"),
        pytest.param({"\ud900": 1}, "half of a character", id="in-a-name"),
        pytest.param([{"a": float("nan")}], "NaN is no number of JSON", id="not-a-number"),
        pytest.param(float("-inf"), "-Infinity is no number of JSON, as values of CWL are: use null", id="infinite"),
        pytest.param({"class": "File", "location": 5}, "the location of a File: expected string, found 5", id="number"),
        pytest.param({"class": "File", "path": "a\0b"}, "the path of a File: expected string", id="null-character"),
        pytest.param([{"class": "Directory", "listing": [None]}], "the listing of a Directory: expected", id="no-file"),
        pytest.param({"class": "File", "secondaryFiles": FILE}, "the secondaryFiles of a File: expected", id="no-list"),
    ],
)
def test_what_no_file_or_parser_takes_cannot_be_used(value, reason):
    assert reason in (unusable(value) or "")


def test_fields_of_files_may_be_expressions_in_documents():
    assert unusable({"class": "Directory", "listing": "$(inputs.files)"}, files=False) is None


@pytest.mark.parametrize("kind", [["File"], {"File": 1}, None, 1], ids=str)
def test_a_class_that_is_no_text_is_none_of_files(kind):
    assert not is_file_object({"class": kind})
    assert unusable({"class": kind}) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"class": "File"}, True),
        ([{"class": "File"}, [{"class": "Directory"}, None]], True),
        ([{"class": "File"}, "text"], False),
        ({"reads": {"class": "File"}}, False),
    ],
)
def test_arrays_of_files_are_nothing_but_files_and_records_are_more(value, expected):
    assert is_nothing_but_files(value) is expected
