import json

import pytest

from cwl_prefect.model.events import RunEnded, RunStarted, RunState, StepEvent, StepEventKind
from cwl_prefect.reports.trace import TRACE, TraceReader, event_of
from tests.unit.reports.traces import ENDED, STARTED, tried, write


def test_a_trace_that_grows_is_read_piece_by_piece(tmp_path):
    write(tmp_path, STARTED, tail='{"event": "call_')
    reader = TraceReader(tmp_path)
    assert [line["event"] for line in reader.new_lines()] == ["run_started"]
    assert list(reader.new_lines()) == []
    with (tmp_path / TRACE).open("a") as trace:
        trace.write('started", "step": "align"}\nno JSON\n' + json.dumps(ENDED) + "\n")
    assert [line["event"] for line in reader.new_lines()] == ["call_started", "run_ended"]


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (
            {**STARTED, "began_at": 999.5},
            RunStarted(flow_run_id=STARTED["run"], name="calm-cat", url=None, began_s=999.5),
        ),
        ({"event": "step_planned", "step": "a", "count": 3}, StepEvent(kind=StepEventKind.PLANNED, step="a", count=3)),
        (
            {"event": "call_started", "step": "a", "call": "a[1]"},
            StepEvent(kind=StepEventKind.STARTED, step="a", call="a[1]"),
        ),
        (
            tried("a[1]", "failed", message="no"),
            StepEvent(kind=StepEventKind.FAILED, step="a", call="a[1]", message="no"),
        ),
        (
            {"event": "subworkflow_ended", "step": "w", "call": "w", "state": "succeeded"},
            StepEvent(kind=StepEventKind.SUCCEEDED, step="w", call="w", subworkflow=True),
        ),
        (ENDED, RunEnded(state=RunState.SUCCEEDED, message=None, outputs={})),
        ({"event": "step_ended", "step": "a", "state": "failed"}, None),
        ({"event": "of_a_later_version"}, None),
        ({"event": "call_ended", "step": "a", "call": "a", "state": "of a later version"}, None),
        ({}, None),
    ],
)
def test_lines_tell_of_the_events_that_displays_count(line, event):
    assert event_of(line, None) == event
