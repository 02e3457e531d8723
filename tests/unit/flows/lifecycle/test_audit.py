import asyncio
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from cwl_prefect.engine.records.audit import AUDIT_FILE, Act, entries
from cwl_prefect.engine.staging.workspace import run_directory
from cwl_prefect.errors import StepError
from cwl_prefect.flows.execution.run import Progress, Stopped
from cwl_prefect.flows.lifecycle import audit
from cwl_prefect.settings import OnError, Settings
from tests.plans import workflow


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


def run_of(runs, *, again=False, on_error=OnError.STOP, plan=None, job_order=None, **progress):
    """Give as much of a run as its trail needs."""
    run_directory(runs, "r1").mkdir(exist_ok=True)
    return SimpleNamespace(
        runs=runs,
        run_id="r1",
        plan=plan or workflow(),
        request=SimpleNamespace(job_order=job_order or {}),
        progress=Progress(**progress),
        settings=Settings(home=runs.parent, on_error=on_error),
        again=again,
        outdir=Path("/results"),
    )


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
        async with audit.audited(run):
            pass
    assert [entry.act for entry in entries(tmp_path)] == [Act.STARTED, Act.COMPLETED, Act.RESUMED, Act.COMPLETED]


@pytest.mark.parametrize(
    ("outputs", "told"),
    [({"said": "by hunter2", "n": 3}, {"said": "by (secret)", "n": 3}), ({"said": "x" * 300_000}, None)],
    ids=["without-secrets", "too-large"],
)
async def test_the_event_of_the_end_tells_what_came_of_the_run_and_where(tmp_path, events, outputs, told):
    plan = workflow(requirements=[{"class": "Secrets", "secrets": ["word"]}])
    run = run_of(tmp_path, plan=plan, job_order={"word": "hunter2"}, outputs=outputs)
    async with audit.audited(run):
        pass
    assert [event["event"] for event in events] == ["cwl-prefect.run.started", "cwl-prefect.run.completed"]
    assert (
        events[1]["payload"].items()
        >= {
            "workflow": plan.name,
            "outdir": "/results",
            "outputs_file": "/results/cwl-prefect-outputs.json",
            "outputs": told,
        }.items()
    )
    assert "said" not in (tmp_path / AUDIT_FILE).read_text()


@pytest.mark.parametrize(("on_error", "told"), [(OnError.CONTINUE, True), (OnError.STOP, False)], ids=repr)
async def test_of_a_failed_run_only_what_was_published_is_told(tmp_path, events, on_error, told):
    run = run_of(tmp_path, on_error=on_error, failures=[StepError("no")], outputs={"n": 3} if told else {})
    async with audit.audited(run):
        pass
    assert ("outputs" in events[-1]["payload"]) is told


@pytest.mark.parametrize("act", [Act.INTERRUPTED, Act.CANCELLED])
async def test_what_the_command_recorded_its_driver_does_not_record_again(tmp_path, events, act):
    run = run_of(tmp_path, stopped=Stopped[act.name])
    assert await acts_of_cancelled(run, told=act) == [Act.STARTED, act]


@pytest.mark.parametrize("act", [Act.INTERRUPTED, Act.CANCELLED])
async def test_what_was_asked_for_elsewhere_is_recorded_by_the_driver(tmp_path, events, act):
    audit.record(tmp_path, act, "r1")  # of an earlier driver
    run = run_of(tmp_path, again=True, stopped=Stopped[act.name])
    assert await acts_of_cancelled(run, told=None) == [act, Act.RESUMED, act]


def test_a_trail_that_cannot_be_written_stops_nobody(tmp_path, events, caplog):
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        audit.record(tmp_path / "file", Act.CACHE_REMOVED, None)
    assert "cannot be written" in caplog.text
    assert events[0]["resource"]["prefect.resource.id"] == "cwl-prefect.runs"
