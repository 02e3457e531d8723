"""JSON is the same whether orjson can write and read it or not."""

import json

import pytest

from cwl_prefect.model.json_text import dumps, loads

VALUES = {
    "usual": {"a": [1, 2.5, None, True], "b": "naïve"},
    "name-that-is-not-utf-8": {"basename": "reads\udcff.fq"},
    "long-integer": [2**70],
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_what_is_written_is_read(value: object) -> None:
    assert loads(dumps(value)) == value
    assert json.loads(dumps(value)) == value


@pytest.mark.parametrize("halved", ["", ', "\\udcff"'])
def test_what_is_no_number_is_not_read(halved: str) -> None:
    with pytest.raises(ValueError, match=r"NaN|expected"):
        loads(f"[NaN{halved}]".encode())


def test_there_are_no_spaces() -> None:
    assert dumps({"a": [1, 2]}) == b'{"a":[1,2]}'
    assert dumps({"a": ["\udcff", 2]}) == b'{"a":["\\udcff",2]}'


def test_what_is_no_json() -> None:
    with pytest.raises(ValueError, match="Expecting"):
        loads(b"{")
