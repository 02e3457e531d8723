"""What a run looked up can be read later, whatever became of the run."""

from pathlib import Path

from cwl_prefect.engine.records.journal import LOOK_UPS, Journal, read_journal
from cwl_prefect.model.cache import CallKey

KEY = CallKey(digest="k", parts={"scheme": 1})


def test_calls_come_back_in_order(tmp_path: Path):
    journal = Journal(tmp_path / "new" / LOOK_UPS)
    journal.found("align", "align[1]", KEY)
    journal.missed("align", "align[2]", KEY)
    journal.refused("fetch", "fetch", "its WorkReuse says so")
    journal.close()
    journal.close()
    calls = list(read_journal(tmp_path / "new"))
    assert [(call.call, call.hit, call.parts, call.reason) for call in calls] == [
        ("align[1]", True, None, None),
        ("align[2]", False, {"scheme": 1}, None),
        ("fetch", False, None, "its WorkReuse says so"),
    ]


def test_a_torn_journal_gives_what_is_whole(tmp_path: Path):
    path = tmp_path / LOOK_UPS
    journal = Journal(path)
    for _ in range(2):
        journal.found("align", "align", KEY)
    journal.close()
    path.write_bytes(path.read_bytes()[:-20])
    assert len(list(read_journal(tmp_path))) == 1
    assert list(read_journal(tmp_path / "missing")) == []


def test_a_journal_that_cannot_be_written_is_done_without(tmp_path: Path):
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / LOOK_UPS)
    journal.found("align", "align", KEY)
    journal.found("align", "align", KEY)
    journal.close()
    assert list(read_journal(tmp_path / "file")) == []
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_nothing_is_written_where_nothing_is_to_be_recorded(tmp_path: Path):
    journal = Journal(None)
    journal.found("align", "align", KEY)
    journal.close()
    assert list(tmp_path.iterdir()) == []
