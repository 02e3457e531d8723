import pytest

from cwl_prefect.errors import InputError
from cwl_prefect.reports.record import RUNNING, read_record
from tests.unit.reports.traces import ENDED, STARTED, tried, write


def test_a_run_is_read_with_its_tries_and_steps(tmp_path):
    cached = {"event": "call_ended", "at": 1001, "step": "align", "call": "align[2]", "state": "cached", "saved_s": 4.0}
    lines = [tried("align[0]"), tried("align[1]", "retrying"), tried("align[1]", **{"try": 2, "cpu_s": None}), cached]
    record = read_record(write(tmp_path, STARTED, *lines, ENDED))
    assert (record.state, record.drivers, record.saved_s, len(record.tries)) == ("succeeded", 1, 4.0, 4)
    (step,) = record.steps()
    assert (step.step, dict(step.states), step.tries) == ("align", {"succeeded": 2, "cached": 1}, 4)
    assert (step.running_s, step.cpu_s, step.peak_memory_mib, step.cores, step.ram_mib) == (12, 12, 300, 2, 512)
    assert record.tries[0].average_cores == 1.5
    assert record.tries[3].average_cores is None


def test_what_is_not_known_of_any_try_is_nothing(tmp_path):
    unknown = tried("align", cpu_s=None, peak_memory_mib=None)
    (step,) = read_record(write(tmp_path, STARTED, unknown, ENDED)).steps()
    assert step.cpu_s is step.peak_memory_mib is None


def test_a_killed_run_tells_what_was_running(tmp_path):
    began = {"event": "call_started", "at": 1003, "step": "align", "call": "align[1]"}
    record = read_record(write(tmp_path, STARTED, tried("align[0]"), began, tail='{"event":"call_en'))
    assert (record.state, record.ended_at) == (RUNNING, None)
    assert [(found.call, found.state) for found in record.tries] == [("align[0]", "succeeded"), ("align[1]", RUNNING)]


def test_what_ran_when_a_run_was_stopped_was_cancelled(tmp_path):
    began = {"event": "call_started", "at": 1003, "step": "align", "call": "align"}
    record = read_record(write(tmp_path, STARTED, began, {**ENDED, "state": "cancelled"}))
    assert [(found.call, found.state) for found in record.tries] == [("align", "cancelled")]


def test_a_resumed_run_is_one_run(tmp_path):
    again = {**STARTED, "at": 1020.0, "resumed": True}
    record = read_record(
        write(tmp_path, STARTED, tried("a", "failed"), ENDED, again, tried("a"), {**ENDED, "at": 1030})
    )
    assert (record.drivers, record.began_at, record.ended_at) == (2, 1000, 1030)
    assert record.calls["a"].state == "succeeded"


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="empty"),
        pytest.param([tried("a")], id="without-a-beginning"),
        pytest.param([{**STARTED, "version": 99}], id="of-a-later-version"),
    ],
)
def test_what_is_no_trace_is_an_error(tmp_path, lines):
    with pytest.raises(InputError):
        read_record(write(tmp_path, *lines))


@pytest.mark.parametrize(
    "line",
    [
        pytest.param('"a text"', id="no-object"),
        pytest.param('{"event": "call_ended", "call": 7}', id="other-types"),
        pytest.param('{"event": "of_tomorrow"}', id="of-an-event-not-known"),
        pytest.param("\xff\xfe", id="no-json"),
    ],
)
def test_lines_that_cannot_be_read_are_left_out(tmp_path, line):
    directory = write(tmp_path, STARTED, tried("a"), ENDED)
    with (directory / "trace.jsonl").open("a") as stream:
        stream.write(line + "\n")
    assert [found.call for found in read_record(directory).tries] == ["a"]
