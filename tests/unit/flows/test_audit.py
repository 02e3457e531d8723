import asyncio
import logging
from types import SimpleNamespace

import pytest

from cwl_prefect.engine.audit import Act, entries
from cwl_prefect.engine.workspace import run_directory
from cwl_prefect.flows import audit
from cwl_prefect.flows.run import Caller
from cwl_prefect.settings import Settings


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


def run_of(runs, *, again=False, **caller):
    """Give as much of a run as its trail needs."""
    told = Caller(settings=Settings(home=runs.parent), **caller)
    run_directory(runs, "r1").mkdir(exist_ok=True)
    plan = SimpleNamespace(name="main", digest="d1")
    return SimpleNamespace(runs=runs, run_id="r1", plan=plan, caller=told, again=again)


async def acts_of_cancelled(run, *, told: Act | None) -> list[Act]:
    async def driven() -> None:
        async with audit.audited(run):
            if told is not None:
                audit.record(run.runs, told, run.run_id)
                audit.record(run.runs, Act.STARTED, "another")
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await driven()
    return [entry.act for entry in entries(run.runs) if entry.run_id == run.run_id]


async def test_a_run_that_is_driven_again_is_resumed(tmp_path, events):
    for again in (False, True):
        run = run_of(tmp_path, again=again)
        run.settings = run.caller.settings
        async with audit.audited(run):
            pass
    assert [entry.act for entry in entries(tmp_path)] == [Act.STARTED, Act.COMPLETED, Act.RESUMED, Act.COMPLETED]


@pytest.mark.parametrize("act", [Act.INTERRUPTED, Act.CANCELLED])
async def test_what_the_command_recorded_its_driver_does_not_record_again(tmp_path, events, act):
    run = run_of(tmp_path, interrupted=act is Act.INTERRUPTED, cancelled=act is Act.CANCELLED)
    assert await acts_of_cancelled(run, told=act) == [Act.STARTED, act]


@pytest.mark.parametrize("act", [Act.INTERRUPTED, Act.CANCELLED])
async def test_what_was_asked_for_elsewhere_is_recorded_by_the_driver(tmp_path, events, act):
    audit.record(tmp_path, act, "r1")  # of an earlier driver
    run = run_of(tmp_path, again=True, interrupted=act is Act.INTERRUPTED, cancelled=act is Act.CANCELLED)
    assert await acts_of_cancelled(run, told=None) == [act, Act.RESUMED, act]


def test_a_trail_that_cannot_be_written_stops_nobody(tmp_path, events, caplog):
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        audit.record(tmp_path / "file", Act.CACHE_REMOVED, None)
    assert "cannot be written" in caplog.text
    assert events[0]["resource"]["prefect.resource.id"] == "cwl-prefect.runs"
