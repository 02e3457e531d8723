import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cwl_prefect.cli.run.input_flags import parse_input_arguments
from cwl_prefect.errors import UsageError
from cwl_prefect.model.plan import InputPort

ENUM = {"type": "enum", "symbols": ["fast", "slow"]}
FILES = {"type": "array", "items": "File"}
RECORD = {"type": "record", "name": "pair", "fields": [{"name": "left", "type": "File"}]}


def parse(kind, *arguments):
    return parse_input_arguments([InputPort(id="value", type=kind)], arguments).values["value"]


@pytest.mark.parametrize(
    ("kind", "arguments", "expected"),
    [
        pytest.param("string", ["--value", "hi"], "hi", id="string"),
        pytest.param("string", ["--value=hi=there"], "hi=there", id="string-after-equals-sign"),
        pytest.param("string", ["--value", "--hi"], "--hi", id="value-that-looks-like-a-flag"),
        pytest.param("string", ["--value", ""], "", id="empty-string"),
        pytest.param("int", ["--value", "-5"], -5, id="negative-int"),
        pytest.param(["null", "long"], ["--value", "5"], 5, id="optional-long"),
        pytest.param("double", ["--value", "1e-3"], 0.001, id="double"),
        pytest.param("boolean", ["--value"], True, id="flag"),
        pytest.param("boolean", ["--no-value"], False, id="negated-flag"),
        pytest.param(["null", "boolean"], ["--value=false"], False, id="flag-with-value"),
        pytest.param(ENUM, ["--value", "fast"], "fast", id="enum"),
        pytest.param({"type": "array", "items": "int"}, ["--value", "1", "--value", "2"], [1, 2], id="repeated"),
        pytest.param({"type": "array", "items": "int"}, ["--value", "1"], [1], id="array-of-one"),
        pytest.param({"type": "array", "items": "int"}, ["--value", "[]"], [], id="array-as-json"),
        pytest.param({"type": "array", "items": "boolean"}, ["--value", "true"], [True], id="array-of-booleans"),
        pytest.param(["string", "int"], ["--value", "5"], 5, id="union-takes-the-stricter"),
        pytest.param(["string", "int"], ["--value", "five"], "five", id="union-takes-what-fits"),
        pytest.param(["int", {"type": "array", "items": "int"}], ["--value", "5"], 5, id="union-with-array-given-once"),
        pytest.param(
            ["int", {"type": "array", "items": "int"}], ["--value", "5", "--value", "6"], [5, 6], id="union-with-array"
        ),
        pytest.param("Any", ["--value", '{"a": 1}'], {"a": 1}, id="any-as-json"),
        pytest.param("Any", ["--value", "text"], "text", id="any-as-text"),
        pytest.param({"type": "string"}, ["--value", "x"], "x", id="nested-type"),
    ],
)
def test_values_follow_the_type(kind, arguments, expected):
    assert parse(kind, *arguments) == expected


@pytest.mark.parametrize(
    ("kind", "arguments", "told"),
    [
        pytest.param("int", ["--value", "x"], "is not an int", id="not-a-number"),
        pytest.param("float", ["--value", "x"], "no number", id="not-a-float"),
        pytest.param("string", ["--value", "a", "--value", "b"], "more than once", id="repeated-scalar"),
        pytest.param("string", ["--value"], "needs a value", id="no-value"),
        pytest.param("string", ["--vlaue", "x"], "did you mean --value", id="misspelt"),
        pytest.param("string", ["-v", "x"], "no input for -v", id="short-flag"),
        pytest.param("string", ["--no-value"], "no input for --no-value", id="negated-string"),
        pytest.param("boolean", ["--value=maybe"], "use true or false", id="not-a-boolean"),
        pytest.param(ENUM, ["--value", "other"], "fast, slow", id="no-such-symbol"),
        pytest.param(RECORD, ["--value", "x"], "write it as JSON", id="record-not-json"),
        pytest.param(RECORD, ["--value", "[]"], "write it as JSON", id="record-of-wrong-kind"),
        pytest.param("null", ["--value", "x"], "takes no value", id="null"),
        pytest.param("File", ["--value", "{nonsense"], "starts like JSON", id="broken-file-json"),
        pytest.param("string", ["one.yml", "two.yml"], "Unexpected argument 'two.yml'", id="two-job-orders"),
    ],
)
def test_wrong_arguments_are_told_with_a_next_step(kind, arguments, told):
    with pytest.raises(UsageError) as raised:
        parse(kind, *arguments)

    assert told in str(raised.value)
    assert raised.value.hint


def test_files_become_absolute_and_odd_names_survive(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = (tmp_path / "a b#c.fq").as_uri()

    assert parse("File", "--value", "a b#c.fq") == {"class": "File", "location": expected}
    assert parse(FILES, "--value", "a b#c.fq", "--value", "https://x/y") == [
        {"class": "File", "location": expected},
        {"class": "File", "location": "https://x/y"},
    ]
    assert parse(["null", "Directory"], "--value", "/data") == {"class": "Directory", "location": "file:///data"}
    assert parse(RECORD, "--value", '{"left": {"class": "File", "path": "x"}}') == {
        "left": {"class": "File", "location": Path("x").absolute().as_uri()}
    }
    literal = {"class": "File", "contents": "x", "basename": "y"}
    assert parse("File", "--value", json.dumps(literal)) == literal


def test_the_job_order_may_stand_anywhere_among_the_flags():
    ports = [InputPort(id="deep_breath", type="boolean"), InputPort(id="n", type="int")]

    given = parse_input_arguments(ports, ["--deep-breath", "job.yml", "--n", "3", "--"])

    assert given.job_order == "job.yml"
    assert given.values == {"deep_breath": True, "n": 3}


@given(st.lists(st.integers(min_value=-(2**53), max_value=2**53), min_size=1))
def test_repeated_flags_keep_every_value_in_order(numbers):
    arguments = [argument for number in numbers for argument in ("--value", str(number))]

    assert parse({"type": "array", "items": "long"}, *arguments) == numbers


@given(st.text())
def test_any_text_survives_as_a_string(text):
    assert parse("string", "--value", text) == text
    assert parse("string", f"--value={text}") == text
