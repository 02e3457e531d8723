import io

import pytest
from rich.console import Console

from cwl_prefect.cli.run import progress
from cwl_prefect.cli.run.progress import LiveTable, PlainLines, Tally, shown_progress
from cwl_prefect.model.events import RunStarted, StepEvent, StepEventKind

PLANNED, STARTED, SUCCEEDED = StepEventKind.PLANNED, StepEventKind.STARTED, StepEventKind.SUCCEEDED
FAILED, SKIPPED, RETRYING = StepEventKind.FAILED, StepEventKind.SKIPPED, StepEventKind.RETRYING


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def event(kind, step="align", call=None, count=None, message=None):
    return StepEvent(kind=kind, step=step, call=call, count=count, message=message)


def lines_of(*events, every_call=False):
    stream = io.StringIO()
    lines = PlainLines(stream, every_call=every_call, clock=Clock())
    for each in events:
        lines.observe(each)
    return [line.split("] ", 1)[1] for line in stream.getvalue().splitlines()]


def test_a_single_call_is_told_when_it_starts_and_ends():
    assert lines_of(event(PLANNED, count=1), event(STARTED), event(SUCCEEDED)) == [
        "align started",
        "align: 1 done in 0.0 s",
    ]


def test_a_wide_step_is_told_as_one_and_its_failures_by_name():
    told = lines_of(
        event(PLANNED, count=3),
        *(event(STARTED, call=f"align[{index}]") for index in range(3)),
        event(SUCCEEDED, call="align[0]"),
        event(FAILED, call="align[1]", message="exit code 7\nmore"),
        event(SUCCEEDED, call="align[2]"),
    )

    assert told == ["align: 3 calls", "align[1] failed: exit code 7", "align: 2 done, 1 failed in 0.0 s"]


def test_many_failures_are_not_all_told():
    failures = [event(FAILED, call=f"align[{index}]", message="no") for index in range(100)]

    told = lines_of(event(PLANNED, count=101), *failures)

    assert len(told) == 1 + progress.SHOWN_FAILURES


def test_every_call_is_told_on_request():
    told = lines_of(
        event(PLANNED, count=2), event(STARTED, call="align[0]"), event(RETRYING, call="align[0]"), every_call=True
    )

    assert told == ["align: 2 calls", "align[0] started", "align[0] retrying"]


def test_a_long_step_is_told_now_and_then():
    clock, stream = Clock(), io.StringIO()
    lines = PlainLines(stream, clock=clock)
    lines.observe(event(PLANNED, count=100))
    for index in range(20):
        clock.now += 1
        lines.observe(event(SUCCEEDED, call=f"align[{index}]"))

    told = [line for line in stream.getvalue().splitlines() if " of 100" in line]

    assert len(told) == 4


def test_the_run_is_told_with_its_page():
    assert lines_of(RunStarted(flow_run_id="1", name="calm-cat", url="http://x/1")) == ["run calm-cat: http://x/1"]


def test_a_closed_stream_does_not_disturb_the_run():
    stream = io.StringIO()
    stream.close()

    lines = PlainLines(stream)
    for kind in (PLANNED, STARTED, SUCCEEDED):
        lines.observe(event(kind, count=1))

    assert lines.tally.steps["align"].done


def test_steps_of_scattered_subworkflows_are_counted_together_and_loops_once():
    tally = Tally(Clock())
    for index in range(3):
        tally.observe(event(PLANNED, step=f"each[{index}].align", count=2))
        tally.observe(event(SKIPPED, step=f"each[{index}].align"))
    for count in (1, 2, 3):
        tally.observe(event(PLANNED, step="loop", count=count))

    assert tally.steps["each.align"].total == 6
    assert tally.steps["each.align"].skipped == 3
    assert tally.steps["loop"].total == 3


def test_the_table_shows_counts_per_step_and_failures():
    tally = Tally(Clock())
    tally.observe(RunStarted(flow_run_id="1", name="calm-cat", url=None))
    tally.observe(event(PLANNED, step="prepare.align", count=4))
    for kind in (STARTED, STARTED, SUCCEEDED, FAILED, SKIPPED):
        tally.observe(event(kind, step="prepare.align"))
    tally.clock.now = 3700.0

    text = drawn(tally)

    assert "calm-cat" in text
    assert "prepare.align" in text
    assert "1/4" in text
    assert "1:01:40" in text


def test_the_table_stays_small_and_shows_failures_first():
    tally = Tally(Clock())
    for index in range(200):
        tally.observe(event(SUCCEEDED, step=f"step{index}"))
    tally.observe(event(FAILED, step="broken"))

    text = drawn(tally)

    assert "broken" in text
    assert "181 more steps" in text


def drawn(tally):
    stream = io.StringIO()
    Console(file=stream, width=120).print(LiveTable(tally))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("terminal", "options", "told"),
    [
        pytest.param(False, {}, "align started", id="plain-without-a-terminal"),
        pytest.param(True, {}, "align", id="table-on-a-terminal"),
        pytest.param(True, {"verbose": True}, "align started", id="plain-when-verbose"),
        pytest.param(True, {"quiet": True}, "", id="nothing-when-quiet"),
    ],
)
def test_the_display_fits_the_stream(monkeypatch, terminal, options, told):
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")

    with shown_progress(**options) as observe:
        observe(event(STARTED))

    assert told in stream.getvalue()
    assert bool(told) == bool(stream.getvalue())
