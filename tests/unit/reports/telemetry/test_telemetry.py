import asyncio
import builtins
import json
import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from cwl_prefect.errors import StepError
from cwl_prefect.flows.execution.driver import Driver, Scope
from cwl_prefect.flows.execution.observing import observed
from cwl_prefect.flows.lifecycle.opening import open_run
from cwl_prefect.model.events import RunStarted
from cwl_prefect.model.trace_ids import TraceIds
from cwl_prefect.reports.telemetry import observer as module
from tests.telemetry import Collector, collecting
from tests.unit.flows import driving
from tests.unit.flows.driving import PlainTasks, Player, drive, graph, subworkflow
from tests.waiting import eventually

RUN_ID = "0190f5a2-7d3e-7c1a-9b5e-3f6c8d2a1b40"
TRACE = RUN_ID.replace("-", "")

INNER = subworkflow(
    "inner",
    """
    inputs: {ys: 'string[]'}
    outputs: {r: {type: 'string[]', outputSource: each/o}}
    steps:
      each: {run: '#say', scatter: x, in: {x: ys}, out: [o]}
    """,
)
THREE_LEVELS = graph(
    """
    inputs: {xs: 'string[]', groups: {type: {type: array, items: {type: array, items: string}}}}
    outputs: {r: {type: Any, outputSource: prepare/r}}
    steps:
      first: {run: '#say', scatter: x, in: {x: xs}, out: [o]}
      prepare: {run: '#inner', scatter: ys, in: {ys: groups}, out: [r]}
    """,
    INNER,
)
GIVEN = {"xs": ["a"], "groups": [["b", "c"], ["d"]]}
TREE = [
    ("call first[0]", "step first"),
    ("call prepare[0]", "step prepare"),
    ("call prepare[0].each[0]", "step prepare[0].each"),
    ("call prepare[0].each[1]", "step prepare[0].each"),
    ("call prepare[1]", "step prepare"),
    ("call prepare[1].each[0]", "step prepare[1].each"),
    ("run flow", ""),
    ("step first", "run flow"),
    ("step prepare", "run flow"),
    ("step prepare[0].each", "call prepare[0]"),
    ("step prepare[1].each", "call prepare[1]"),
]


@pytest.fixture
def collector(monkeypatch):
    with collecting() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        yield found


async def play(directory: Path, document=THREE_LEVELS, *, tries=1, temporary=0, cached=False, settings=(), **inputs):
    """Run a workflow as a flow run does, with all that the settings and the environment have observe it."""
    run = drive(directory, document, tries=tries, temporary=temporary, **dict(settings))
    if cached:
        run.backend.identify = identified
    request = replace(run.request, observers=())
    async with open_run(run.plan, request, RUN_ID, run.progress) as opened, observed(opened):
        started = RunStarted(
            flow_run_id=RUN_ID,
            name="calm-cat",
            url=None,
            resumed=opened.again,
            began_s=opened.began_s,
            plan=run.plan,
            inputs=inputs,
            settings=run.settings,
        )
        opened.tell(started)
        here, tasks = replace(opened, pool=run.pool), PlainTasks(tries=tries)
        here.progress.outputs, _ = await Driver(here, tasks).workflow(run.plan, inputs, Scope())
    return started


async def identified(image, *, step):
    return "here"  # so that calls are cached


async def test_a_run_of_three_levels_has_every_span_with_its_parent(collector: Collector, tmp_path):
    started = await play(tmp_path, **GIVEN)
    assert collector.parents() == TREE
    assert {span.trace for span in collector.spans} == {TRACE}
    run, call = collector.one("run flow"), collector.one("call prepare.each", cwl_call="prepare[1].each[0]")
    assert run.identifier == f"{TraceIds(RUN_ID, started.began_s).run:016x}"
    assert run.attributes["prefect.run.id"] == RUN_ID
    assert (run.attributes["cwl.state"], run.failed) == ("succeeded", False)
    assert run.resource["service.name"] == "cwl-prefect"
    assert call.attributes["process.exit.code"] == 0
    assert call.moments == ("ready", "command started", "command ended")
    assert all(run.began_ns <= span.began_ns <= span.ended_ns <= run.ended_ns for span in collector.spans)


async def test_each_try_has_a_span_that_links_to_the_one_before(collector: Collector, tmp_path):
    await play(tmp_path, tries=2, temporary=1, xs=["temp"], groups=[])
    first, second = (collector.one("call first", cwl_try=number) for number in (1, 2))
    assert (first.failed, first.attributes["cwl.state"]) == (True, "retrying")
    assert (second.failed, second.links) == (False, {"retries": first.identifier})


async def test_a_failure_is_told_by_each_level_that_it_ends(collector: Collector, tmp_path):
    with pytest.raises(StepError):
        await play(tmp_path, xs=[], groups=[["fail"]])
    failed = {span.name for span in collector.spans if span.failed}
    assert failed == {"run flow", "step prepare", "call prepare", "step prepare.each", "call prepare.each"}
    assert "it went wrong" in collector.one("call prepare.each").message


async def test_what_a_cancelled_run_leaves_open_has_spans(collector: Collector, tmp_path):
    running = asyncio.create_task(play(tmp_path, xs=["slow"], groups=[["slow"]]))
    trace = tmp_path / "home/reports" / RUN_ID / "trace.jsonl"
    await eventually(lambda: trace.exists() and trace.read_text().count('"call_started"') == 2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert collector.parents() == [pair for pair in TREE if "[1]" not in "".join(pair)]
    assert {span.attributes["cwl.state"] for span in collector.spans} == {"cancelled"}


async def test_a_run_that_goes_on_after_a_kill_sends_what_was_left_open_and_links_to_it(
    collector: Collector, tmp_path, monkeypatch
):
    """The first driver sends nothing, and its trace lacks what a killed one would not have written."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    first = await play(tmp_path, cached=True, settings={"keep": "always"}, **GIVEN)
    trace = tmp_path / "home/reports" / RUN_ID / "trace.jsonl"
    lines = [json.loads(line) for line in trace.read_text().splitlines()]
    kept = [line for line in lines if line["event"] not in ("step_ended", "subworkflow_ended", "run_ended")]
    kept = [line for line in kept if (line["event"], line.get("call")) != ("call_ended", "prepare[1].each[0]")]
    trace.write_text("".join(json.dumps(line) + "\n" for line in kept))

    monkeypatch.delenv("OTEL_TRACES_EXPORTER")
    second = await play(tmp_path, cached=True, settings={"keep": "always"}, **GIVEN)

    assert second.resumed
    assert {span.trace for span in collector.spans} == {TRACE}
    assert collector.parents() == sorted([*TREE, *TREE])
    assert len({span.identifier for span in collector.spans}) == 2 * len(TREE)
    runs = {span.links.get("resumes"): span for span in collector.spans if span.name == "run flow"}
    killed, again = runs[None], runs[killed_id(first)]
    assert (killed.failed, killed.message, again.failed) == (True, "the driver was killed", False)
    left = [span for span in collector.spans if span.attributes.get("cwl.call") == "prepare[1].each[0]"]
    (open_,) = [span for span in left if span.attributes["cwl.state"] == "killed"]
    (repeated,) = [span for span in left if span is not open_]
    assert repeated.links == {"repeats": open_.identifier}


def killed_id(started: RunStarted) -> str:
    return f"{TraceIds(RUN_ID, started.began_s).run:016x}"


async def test_metrics_count_calls_by_state_and_nothing_waits_at_the_end(collector: Collector, tmp_path):
    await play(tmp_path, tries=2, temporary=1, xs=["a", "temp"], groups=[])
    about = {"cwl.workflow": "flow", "cwl.step": "first"}
    assert collector.metrics["cwl.calls"] == [({**about, "cwl.state": "succeeded"}, 2)]
    assert collector.metrics["cwl.call.retries"] == [(about, 1)]
    assert collector.metrics["cwl.call.duration"] == [(about, 3)]
    assert [value for name in ("cwl.calls.queued", "cwl.calls.active") for _, value in collector.metrics[name]] == [
        0
    ] * 3
    assert collector.metrics["cwl.run.duration"] == [({"cwl.workflow": "flow", "cwl.state": "succeeded"}, 1)]


async def test_secrets_are_in_nothing_that_is_sent(collector: Collector, tmp_path):
    document = graph(
        """
        hints: {"http://commonwl.org/cwltool#Secrets": {secrets: ['#main/word']}}
        inputs: {word: string}
        outputs: {}
        steps:
          tell: {run: '#join', in: {x: word, y: {default: fail}}, out: [o]}
        """
    )
    with pytest.raises(StepError):
        await play(tmp_path, document, word="hush-hush")
    assert len(collector.spans) == 3
    assert not [body for body in collector.bodies if b"hush-hush" in body]


async def test_a_tool_is_told_the_span_of_its_try_only_where_that_is_asked_for(
    collector: Collector, tmp_path, monkeypatch
):
    told = []

    class Told(Player):
        async def __call__(self, job):
            told.append(job.env.get("TRACEPARENT"))
            return await super().__call__(job)

    monkeypatch.setattr(driving, "Player", Told)
    await play(tmp_path, tries=2, temporary=1, settings={"traceparent": True}, xs=["temp"], groups=[])
    spans = [collector.one("call first", cwl_try=number).identifier for number in (1, 2)]
    assert told == [f"00-{TRACE}-{span}-01" for span in spans]
    await play(tmp_path, xs=["b"], groups=[])
    assert told[-1] is None


async def test_only_what_is_wanted_is_sent(collector: Collector, tmp_path, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    await play(tmp_path, xs=["a"], groups=[])
    assert (collector.spans, "cwl.calls" in collector.metrics) == ([], True)


async def test_a_collector_that_does_not_answer_neither_fails_nor_holds_a_run(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module, "CLOSING_S", 0.2)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.4")
    others = threading.enumerate()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        await asyncio.wait_for(play(tmp_path, xs=["a"], groups=[]), 60)
        # What still tries to send would complain in the next tests.
        await eventually(lambda: not [each for each in threading.enumerate() if each.daemon and each not in others])
    assert "did not take all within 0.2 s" in caplog.text


async def test_what_the_collector_refuses_is_told_once(collector: Collector, tmp_path, caplog):
    collector.status = 400
    await play(tmp_path, xs=["a"], groups=[])
    ours = [record.getMessage() for record in caplog.records if record.name == module.__name__]
    assert ours == ["the collector of telemetry did not take 4 spans and 1 reports of metrics"]


async def test_without_the_extra_a_run_says_so_once(tmp_path, monkeypatch, caplog):
    def without(name, *rest):
        if name.startswith("opentelemetry.sdk"):
            raise ImportError(name)
        return real(name, *rest)

    real = builtins.__import__
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(builtins, "__import__", without)
    module._tell_missing.cache_clear()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        await play(tmp_path / name, xs=["a"], groups=[])
    assert caplog.text.count("install cwl-prefect[otel]") == 1
