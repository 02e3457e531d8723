import json
import stat
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cwl_prefect.errors import StepError
from cwl_prefect.flows.execution.call_work import ended_as
from cwl_prefect.flows.execution.driver import Driver, Scope
from cwl_prefect.flows.execution.observing import observed
from cwl_prefect.flows.lifecycle.opening import open_run
from cwl_prefect.model.events import RunEnded, RunStarted, RunState, StepEvent, StepEventKind
from cwl_prefect.model.job import JobOutcome, Reason
from cwl_prefect.model.plan import decode_plan
from cwl_prefect.model.usage import Tried, Usage
from cwl_prefect.reports.recorder import LARGEST_VALUES, Recorder
from tests.unit.flows.driving import SCATTER_AND_WHEN, PlainTasks, drive, graph

EMPTY = graph(
    """
    inputs: {}
    outputs: {}
    steps: {}
    """
)


async def identified(image, *, step):
    return "here"  # so that calls are cached


async def play(directory, *, run_id="run", temporary=0, **inputs):
    """Run the workflow as a flow run does, and return the lines of its trace."""
    run = drive(directory, SCATTER_AND_WHEN, tries=2, temporary=temporary)
    run.backend.identify = identified
    async with open_run(run.plan, run.request, run_id, run.progress) as opened, observed(opened):
        opened.tell(
            RunStarted(
                flow_run_id=run_id,
                name="calm-cat",
                url=None,
                resumed=opened.again,
                plan=run.plan,
                inputs=inputs,
                settings=run.settings,
            )
        )
        here, tasks = replace(opened, pool=run.pool), PlainTasks(tries=2)
        here.progress.outputs, _ = await Driver(here, tasks).workflow(run.plan, {"go": True, **inputs}, Scope())
    return trace(run.settings.reports / run_id)


def trace(directory):
    return [json.loads(line) for line in (directory / "trace.jsonl").read_text().splitlines()]


def calls(lines):
    return [(line["call"], line["state"], line.get("try")) for line in lines if line["event"] == "call_ended"]


async def test_each_try_of_each_call_has_a_line(tmp_path):
    lines = await play(tmp_path, temporary=1, xs=["a", "temp"], go=False)
    assert sorted(calls(lines), key=str) == [
        ("each[0]", "succeeded", 1),
        ("each[1]", "retrying", 1),
        ("each[1]", "succeeded", 2),
        ("maybe", "skipped", None),
    ]
    assert (lines[0]["event"], lines[0]["version"], lines[-1]["event"]) == ("run_started", 1, "run_ended")
    assert (lines[-1]["state"], lines[-1]["outputs"]) == ("succeeded", {"r": ["a", "temp"]})
    ended = next(line for line in lines if line.get("call") == "each[0]" and line["event"] == "call_ended")
    assert ended["prepared_at"] <= ended["ready_at"] <= ended["started_at"] <= ended["ended_at"] <= ended["at"]
    assert (ended["cores"], ended["exit_code"], ended["reason"]) == (1, 0, "Exited")
    assert ended["cpu_s"] is ended["peak_memory_mib"] is None


async def test_cached_calls_say_what_they_saved_and_later_drivers_go_on_in_the_same_trace(tmp_path):
    await play(tmp_path, xs=["a"])
    lines = await play(tmp_path, xs=["a"])
    assert [line["event"] for line in lines].count("run_started") == 2
    cached = [line for line in lines if line.get("state") == "cached"]
    assert sorted(line["call"] for line in cached) == ["each[0]", "maybe"]
    assert all(line["saved_s"] >= 0 for line in cached)


async def test_a_failure_is_recorded_with_its_evidence(tmp_path):
    with pytest.raises(StepError):
        await play(tmp_path, xs=["fail"])
    lines = trace(tmp_path / "home/reports/run")
    failed = next(line for line in lines if line.get("state") == "failed" and line["event"] == "call_ended")
    assert (failed["call"], failed["exit_code"]) == ("each[0]", 1)
    assert "it went wrong" in failed["message"]
    assert (lines[-1]["event"], lines[-1]["state"]) == ("run_ended", "failed")


async def test_calls_are_recorded_with_their_values_and_the_run_with_its_plan(tmp_path):
    lines = await play(tmp_path, xs=["a"])
    ended = next(line for line in lines if line.get("call") == "each[0]" and line["event"] == "call_ended")
    assert (ended["inputs"], ended["outputs"]) == ({"x": "a"}, {"o": "a"})
    assert decode_plan((tmp_path / "home/reports/run/plan.json").read_text()).steps[0].id == "each"


async def test_subworkflows_are_recorded_with_their_values(tmp_path):
    started = StepEvent(kind=StepEventKind.SUCCEEDED, step="s", call="s[1]", subworkflow=True)
    lines = await record(tmp_path, replace(started, inputs={"x": 1}, outputs={"o": 2}))
    assert lines[1]["event"] == "subworkflow_ended"
    assert (lines[1]["call"], lines[1]["inputs"], lines[1]["outputs"]) == ("s[1]", {"x": 1}, {"o": 2})


async def test_values_without_end_are_left_out(tmp_path):
    ended = StepEvent(kind=StepEventKind.SUCCEEDED, step="s", call="s", outputs={"o": 1})
    lines = await record(tmp_path, replace(ended, inputs={"x": "x" * LARGEST_VALUES}))
    assert (lines[1]["inputs"], lines[1]["outputs"]) == (None, {"o": 1})


async def test_files_are_recorded_without_what_was_read_of_them(tmp_path):
    file = {"class": "File", "location": "file:///a", "path": "/a", "contents": "much", "checksum": "sha1$00"}
    literal = {"class": "File", "basename": "b", "contents": "b"}
    ended = StepEvent(kind=StepEventKind.SUCCEEDED, step="s", call="s", inputs={"f": [file, literal]})
    lines = await record(tmp_path, ended)
    assert lines[1]["inputs"]["f"] == [{name: file[name] for name in ("class", "location", "checksum")}, literal]


async def record(directory, *events, plan=EMPTY):
    """Return the lines of a trace that is told of these events."""
    run = drive(directory, plan)
    recorder = Recorder()
    recorder(RunStarted(flow_run_id="r", name="n", url=None, plan=run.plan, inputs={}, settings=run.settings))
    for event in events:
        recorder(event)
    await recorder.aclose()
    return trace(run.settings.reports / "r")


async def test_only_its_user_reads_a_trace(tmp_path):
    await play(tmp_path, xs=[])
    directory = tmp_path / "home/reports/run"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / "trace.jsonl").stat().st_mode) == 0o600
    assert stat.S_IMODE((directory / "plan.json").stat().st_mode) == 0o600


async def test_secrets_are_in_no_line(tmp_path):
    run = drive(
        tmp_path,
        graph(
            """
            hints: {'http://commonwl.org/cwltool#Secrets': {secrets: [pass]}}
            inputs: {pass: string}
            outputs: {}
            steps: {}
            """
        ),
    )
    recorder = Recorder()
    inputs = {"pass": "hunter2"}
    recorder(RunStarted(flow_run_id="r", name="n", url=None, plan=run.plan, inputs=inputs, settings=run.settings))
    recorder(StepEvent(kind=StepEventKind.FAILED, step="s", call="s", message="it said hunter2"))
    recorder(RunEnded(state=RunState.FAILED, message="hunter2!", outputs={"o": "hunter2"}))
    await recorder.aclose()
    text = (run.settings.reports / "r/trace.jsonl").read_text()
    assert "hunter2" not in text
    assert text.count("(secret)") == 4


async def test_a_trace_that_cannot_be_written_is_done_without(tmp_path, caplog):
    run = drive(tmp_path, EMPTY)
    run.settings.home.mkdir()
    run.settings.reports.write_text("in the way")
    recorder = Recorder()
    recorder(RunStarted(flow_run_id="r", name="n", url=None, plan=run.plan, inputs={}, settings=run.settings))
    recorder(StepEvent(kind=StepEventKind.SUCCEEDED, step="s", call="s"))
    await recorder.aclose()
    assert "trace of the run cannot be written" in caplog.text


def test_a_try_takes_from_its_job_how_it_ended():
    tried = Tried(number=1, backend="docker", cores=1, ram_mib=1, prepared_at=1, ready_at=2)
    began, ended = datetime.fromtimestamp(3, UTC), datetime.fromtimestamp(5, UTC)
    outcome = JobOutcome(
        job_id="j", reason=Reason.EXITED, exit_code=0, started_at=began, finished_at=ended, usage=Usage(cpu_s=1.5)
    )
    found = ended_as(tried, outcome)
    assert (found.started_at, found.ended_at, found.usage.cpu_s) == (3, 5, 1.5)
