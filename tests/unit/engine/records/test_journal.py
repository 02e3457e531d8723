"""What a run looked up can be read later, whatever became of the run."""

import os
from pathlib import Path

from cwl_prefect.engine.records.journal import Journal, journal_of, read_journal, run_name
from cwl_prefect.model.cache import CallKey

KEY = CallKey(digest="k", parts={"scheme": 1})


def test_calls_come_back_in_order(tmp_path: Path):
    journal = Journal(tmp_path / "new" / "r.jsonl")
    journal.began("busy-fox", "words")
    journal.found("align", "align[1]", KEY)
    journal.missed("align", "align[2]", KEY)
    journal.refused("fetch", "fetch", "its WorkReuse says so")
    journal.close()
    journal.close()
    calls = list(read_journal(tmp_path / "new" / "r.jsonl"))
    assert [(call.call, call.hit, call.parts, call.reason) for call in calls] == [
        ("align[1]", True, None, None),
        ("align[2]", False, {"scheme": 1}, None),
        ("fetch", False, None, "its WorkReuse says so"),
    ]


def test_a_torn_journal_gives_what_is_whole(tmp_path: Path):
    path = tmp_path / "r.jsonl"
    journal = Journal(path)
    for _ in range(2):
        journal.found("align", "align", KEY)
    journal.close()
    path.write_bytes(path.read_bytes()[:-20])
    assert len(list(read_journal(path))) == 1
    assert run_name(path) is None
    assert list(read_journal(tmp_path / "missing")) == []


def test_a_journal_that_cannot_be_written_is_done_without(tmp_path: Path):
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "r.jsonl")
    journal.found("align", "align", KEY)
    journal.found("align", "align", KEY)
    journal.close()
    assert list(read_journal(tmp_path / "file" / "r.jsonl")) == []
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_run_is_found_by_name_id_or_beginning(tmp_path: Path):
    for number, (run, name) in enumerate([("abc-1", "busy-fox"), ("abd-2", "lazy-dog")]):
        journal = Journal(tmp_path / f"{run}.jsonl")
        journal.began(name, "words")
        journal.close()
        os.utime(tmp_path / f"{run}.jsonl", (number, number))
    found = {
        run: [path.stem for path in journal_of(tmp_path, run)] for run in ("busy-fox", "abc-1", "abd", "last", "x")
    }
    assert found == {"busy-fox": ["abc-1"], "abc-1": ["abc-1"], "abd": ["abd-2"], "last": ["abd-2"], "x": []}
    assert len(journal_of(tmp_path, "ab")) == 2
