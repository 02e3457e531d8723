from pathlib import Path

import pytest

from cwl_prefect.cli.run.ending import Ending
from cwl_prefect.model.events import RunEnded, RunStarted, RunState, StepEvent, StepEventKind
from cwl_prefect.model.usage import Tried, Usage
from cwl_prefect.settings import Settings

FILE = {"class": "File", "location": "file:///out/a"}


def ended(step, seconds, *, peak=None, kind=StepEventKind.SUCCEEDED):
    tried = Tried(
        number=1,
        backend="local",
        cores=1,
        ram_mib=1,
        prepared_at=0,
        ready_at=0,
        started_at=10,
        ended_at=10 + seconds,
        usage=Usage(peak_memory_mib=peak),
    )
    return StepEvent(kind=kind, step=step, call=step, tried=tried)


def said(*events, outputs=None, state=RunState.SUCCEEDED):
    ending = Ending(Path("/out"))
    for event in (*events, RunEnded(state=state, message=None, outputs=outputs or {})):
        ending(event)
    return list(ending.lines())


def test_the_largest_steps_are_said_with_all_their_calls_and_tries():
    lines = said(
        ended("each[0].a", 2, peak=100),
        ended("each[1].a", 3, peak=300, kind=StepEventKind.RETRYING),
        ended("b", 4),
        ended("c", 1.5),
        ended("d", 1.2),
        ended("e", 0.1),
    )
    assert lines[-1] == "Largest steps: each.a 5.0 s, 300 MiB; b 4.0 s; c 1.5 s"


def test_what_the_cache_saved_is_said():
    cached = [StepEvent(kind=StepEventKind.CACHED, step="a", call=f"a[{n}]", saved_s=2.0) for n in range(2)]
    assert said(*cached)[1:] == ["The cache had 2 calls, which took 4.0 s before"]


def test_where_the_results_are_is_said_where_there_are_files():
    assert said(outputs={"o": [FILE]})[0].endswith("s; the results are in /out")
    assert "results" not in said(outputs={"o": 7})[0]


def begun(**settings):
    return RunStarted(flow_run_id="r1", name="brave otter", url=None, settings=Settings(**settings))


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.CANCELLED], ids=str)
def test_how_to_go_on_is_said_with_what_that_reuses(state):
    cached = StepEvent(kind=StepEventKind.CACHED, step="a", call="a", saved_s=2.0)
    failed = StepEvent(kind=StepEventKind.FAILED, step="c", call="c")
    lines = said(begun(), cached, ended("b", 0.1), failed, state=state)
    assert lines[-1] == "Go on with: cwl-prefect runs resume 'brave otter'; 2 calls that ended well will be reused"


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({}, "Go on with: cwl-prefect runs resume 'brave otter'"),
        ({"cache": False}, "Go on with: cwl-prefect runs resume 'brave otter'; without the cache all calls run again"),
        ({"keep": "never"}, None),
    ],
    ids=repr,
)
def test_only_what_can_be_gone_on_with_is_said(settings, line):
    assert said(begun(**settings), state=RunState.FAILED)[1:] == ([line] if line else [])


def test_nothing_goes_on_with_a_run_that_succeeded():
    assert len(said(begun())) == 1


def test_how_to_look_into_the_first_failure_is_said():
    failures = [ended(step, 0.1, kind=StepEventKind.FAILED) for step in ("align[3]", "merge")]
    lines = said(begun(), *failures, state=RunState.FAILED)
    assert lines[-2] == "Look into it with: cwl-prefect runs rerun 'brave otter' 'align[3]' --shell"
