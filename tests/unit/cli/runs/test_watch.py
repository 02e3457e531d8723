import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from cwl_prefect.cli.runs import watch
from cwl_prefect.errors import InputError
from cwl_prefect.flows.prefect_names import MARK
from tests.unit.reports.traces import ENDED, STARTED, tried, write

RUN = str(UUID(int=7))
BEGAN = datetime(2026, 1, 2, tzinfo=UTC)
STEP = {"step": "align", "waiting": 0, "running": 0, "succeeded": 0, "cached": 0, "failed": 0}


def state(kind, name=None, message=None):
    ended = BEGAN + timedelta(seconds=90) if kind != "RUNNING" else None
    return {
        "id": RUN,
        "name": "calm-cat",
        "tags": [MARK],
        "state": {"type": kind, "name": name or kind.title(), "message": message},
        "start_time": BEGAN.isoformat(),
        "end_time": None if ended is None else ended.isoformat(),
    }


@pytest.fixture
def watched(monkeypatch, tmp_path, capsys):
    """Watch a run in these states, of which the API knows these tables of steps; return the code and what was told."""
    monkeypatch.setenv("CWL_PREFECT_HOME", str(tmp_path))
    monkeypatch.setattr(watch, "LOOK_S", 0.01)

    def run(states, tables=(), error=None, name="last"):
        left, rows = list(states), list(tables)

        async def post(path, content, **ids):
            if path == "/artifacts/filter":
                table = rows.pop(0) if len(rows) > 1 else (rows or [None])[0]
                return json.dumps([] if table is None else [{"data": json.dumps(table)}]).encode()
            if path == "/events/filter":
                events = [] if error is None else [{"payload": {"details": {"error": error}}}]
                return json.dumps({"events": events}).encode()
            found = left.pop(0) if len(left) > 1 else left[0]
            asked = content["flow_runs"]
            known = asked.get("name", {}).get("any_", [found["name"]]) == [found["name"]]
            return json.dumps([found] if known else []).encode()

        from cwl_prefect.cli.failures import settings_with

        monkeypatch.setattr(watch, "posting", lambda work: __import__("asyncio").run(work(post, settings_with({}))))
        code = watch.watch(name)
        return code, capsys.readouterr().err

    return run


def test_a_run_elsewhere_is_shown_by_what_its_driver_tells_the_api(watched):
    tables = [
        [{**STEP, "waiting": 2, "running": 1}],
        [{**STEP, "running": 1, "succeeded": 2}],
        [{**STEP, "succeeded": 3}],
    ]
    code, told = watched([state("RUNNING"), state("RUNNING"), state("RUNNING"), state("COMPLETED")], tables)
    assert code == 0
    assert "run calm-cat: " in told
    assert "align: 3 calls" in told
    assert "align: 3 done in" in told
    assert "[   90.0 s] run calm-cat succeeded: 3 done" in told
    assert "runs outputs calm-cat" in told


@pytest.mark.parametrize(
    ("last", "error", "code", "text"),
    [
        (
            state("FAILED", message="Flow run encountered an exception: StepError: it exited"),
            "StepError",
            13,
            ": it exited",
        ),
        (state("FAILED"), "OfALaterVersion", 1, "is Failed."),
        (state("CRASHED"), None, 1, "is Crashed."),
        (state("FAILED", "Partial"), None, 24, "is Partial."),
        (state("CANCELLED", "Interrupted"), None, 130, "is Interrupted."),
    ],
    ids=["failed", "unknown-error", "crashed", "partial", "interrupted"],
)
def test_the_exit_code_is_that_of_the_run(watched, last, error, code, text):
    found, told = watched([state("RUNNING"), last], error=error)
    assert found == code
    assert f"calm-cat {text}" in told or text in told
    assert "runs resume calm-cat" in told
    assert "encountered an exception" not in told


def test_a_run_of_this_machine_is_shown_by_its_trace_from_its_last_driver_on(watched, tmp_path):
    driver = {**STARTED, "run": RUN, "at": BEGAN.timestamp(), "began_at": BEGAN.timestamp()}
    ended = {**ENDED, "at": BEGAN.timestamp() + 60}
    failed = {**ENDED, "state": "failed", "message": "no"}
    (tmp_path / "reports" / RUN).mkdir(parents=True)
    write(tmp_path / "reports" / RUN, driver, tried("old", "failed"), failed, driver, tried("align[0]"), ended)
    code, told = watched([state("COMPLETED")])
    assert code == 0
    assert "old" not in told
    assert "[   60.0 s] run calm-cat succeeded: 1 done" in told


def test_one_that_there_is_not_is_told(watched):
    with pytest.raises(InputError, match="no run nosuch"):
        watched([state("RUNNING")], name="nosuch")


def test_ctrl_c_ends_the_watching_and_says_that_the_run_goes_on(monkeypatch, capsys):
    def interrupted(work):
        raise KeyboardInterrupt

    monkeypatch.setattr(watch, "posting", interrupted)
    assert watch.watch("calm cat") == 130
    assert "The run calm cat goes on. To watch it again: cwl-prefect runs watch 'calm cat'" in capsys.readouterr().err
