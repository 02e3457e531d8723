import json
from multiprocessing import get_context

import pytest

from cwl_prefect.engine.records.audit import AUDIT_FILE, Act, AuditEntry, actor, append, entries


def test_an_act_is_read_back_as_it_was_written(tmp_path):
    entry = AuditEntry(act=Act.DELETED, run_id="r1", details={"bytes": 12, "paths": ["a", "ü"]})
    append(tmp_path / "runs", entry)
    assert list(entries(tmp_path / "runs")) == [entry]


def test_who_and_when_are_known_without_being_told(tmp_path):
    append(tmp_path, AuditEntry(act=Act.CANCELLED, run_id="r1"))
    (line,) = (tmp_path / AUDIT_FILE).read_text().splitlines()
    found = json.loads(line)
    assert found["who"] == actor()
    assert "@" in found["who"]
    assert found["when"].endswith("+00:00")


def test_acts_are_only_added(tmp_path):
    for act in (Act.STARTED, Act.FAILED, Act.RESUMED):
        append(tmp_path, AuditEntry(act=act, run_id="r1"))
    assert [entry.act for entry in entries(tmp_path)] == [Act.STARTED, Act.FAILED, Act.RESUMED]


def test_a_line_cut_short_is_left_out(tmp_path):
    append(tmp_path, AuditEntry(act=Act.STARTED))
    with (tmp_path / AUDIT_FILE).open("a") as file:
        file.write('{"when": "2026-')
    assert [entry.act for entry in entries(tmp_path)] == [Act.STARTED]


def test_no_trail_is_an_empty_one(tmp_path):
    assert list(entries(tmp_path)) == []


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / AUDIT_FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="Too many levels"):
        append(tmp_path, AuditEntry(act=Act.STARTED))


def _write_many(directory):
    for _ in range(200):
        append(directory, AuditEntry(act=Act.STARTED, run_id="r" * 500))


def test_lines_of_several_processes_do_not_mix(tmp_path):
    writers = [get_context("fork").Process(target=_write_many, args=(tmp_path,)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(list(entries(tmp_path))) == 800
