import logging

import pytest

from cwl_prefect.engine.audit import Act, entries
from cwl_prefect.engine.workspace import run_directory
from cwl_prefect.flows import audit


@pytest.fixture
def events(monkeypatch) -> list[dict]:
    import prefect.events

    found: list[dict] = []
    monkeypatch.setattr(prefect.events, "emit_event", lambda **event: found.append(event))
    return found


def test_an_act_is_in_both_trails_and_an_event(tmp_path, events):
    run_directory(tmp_path, "r1").mkdir()
    audit.record(tmp_path, Act.CANCELLED, "r1", containers=20)
    for directory in (tmp_path, run_directory(tmp_path, "r1")):
        (entry,) = entries(directory)
        assert (entry.act, entry.details) == (Act.CANCELLED, {"containers": 20})
    (event,) = events
    assert event["event"] == "cwl-prefect.run.cancelled"
    assert event["resource"]["prefect.resource.id"] == "prefect.flow-run.r1"
    assert event["payload"]["who"]


def test_the_directory_of_a_run_that_is_gone_is_not_made_again(tmp_path, events):
    audit.record(tmp_path, Act.DELETED, "r1")
    assert not run_directory(tmp_path, "r1").exists()
    assert [entry.run_id for entry in entries(tmp_path)] == ["r1"]


def test_a_trail_that_cannot_be_written_stops_nobody(tmp_path, events, caplog):
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        audit.record(tmp_path / "file", Act.CACHE_REMOVED, None)
    assert "cannot be written" in caplog.text
    assert events[0]["resource"]["prefect.resource.id"] == "cwl-prefect.runs"
