import logging

import pytest

from cwl_prefect.engine.memory import MemoryRecord
from tests.plans import tool


def file(path) -> dict:
    return {"class": "File", "location": path.as_uri(), "basename": path.name}


def test_nothing_is_known_at_first(tmp_path):
    assert MemoryRecord(tmp_path / "none").least_mib(tool(), {"x": 1}) is None


def test_the_next_run_knows(tmp_path):
    MemoryRecord(tmp_path / "memory").remember(tool(), {"x": 1, "y": [2]}, 512)
    later = MemoryRecord(tmp_path / "memory")
    assert later.least_mib(tool(), {"y": [2], "x": 1}) == 512
    assert later.least_mib(tool(), {"x": 2, "y": [2]}) is None
    assert later.least_mib(tool(digest="sha256:2"), {"x": 1, "y": [2]}) is None


def test_this_run_knows_at_once_and_calls_stay_apart(tmp_path):
    record = MemoryRecord(tmp_path)
    assert record.least_mib(tool(), {"x": 1}) is None
    record.remember(tool(), {"x": 1}, 512)
    record.remember(tool(), {"x": 2}, 700)
    assert (record.least_mib(tool(), {"x": 1}), record.least_mib(tool(), {"x": 2})) == (512, 700)


def test_a_file_is_the_same_by_name_and_size_wherever_it_lies(tmp_path):
    for name, text in (("a", "1234"), ("b", "5678"), ("c", "12345")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "reads.fq").write_text(text)
    record = MemoryRecord(tmp_path / "memory")
    record.remember(tool(), {"reads": [file(tmp_path / "a" / "reads.fq")]}, 512)
    assert record.least_mib(tool(), {"reads": [file(tmp_path / "b" / "reads.fq")]}) == 512
    assert record.least_mib(tool(), {"reads": [file(tmp_path / "c" / "reads.fq")]}) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": "much"}'])
def test_a_damaged_record_is_as_good_as_none(tmp_path, text):
    record = MemoryRecord(tmp_path)
    record.remember(tool(), {"x": 1}, 512)
    for path in tmp_path.glob("*.json"):
        path.write_text(text)
    assert MemoryRecord(tmp_path).least_mib(tool(), {"x": 1}) is None


def test_what_cannot_be_written_is_told(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        MemoryRecord(tmp_path / "file").remember(tool(), {}, 512)
    assert "cannot be remembered" in caplog.text
