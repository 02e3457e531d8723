import io

import pytest
from rich.console import Console

from cwl_prefect.cli.run import progress
from cwl_prefect.cli.run.progress import LiveTable, PlainLines, shown_progress
from cwl_prefect.model.events import RunEnded, RunStarted, RunState, StepEvent, StepEventKind
from cwl_prefect.reports.tally import Tally
from tests.plans import step, workflow

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

    assert [line.partition(": ")[2] for line in told] == [
        "10 of 100, 0 running, about 1:30 left",
        "20 of 100, 0 running, about 1:20 left",
    ]


def test_lines_about_several_wide_steps_are_no_more_often():
    clock, stream = Clock(), io.StringIO()
    lines = PlainLines(stream, clock=clock)
    for name in ("align", "merge"):
        lines.observe(event(PLANNED, step=name, count=100))
    for _ in range(20):
        clock.now += 1
        for name in ("align", "merge"):
            lines.observe(event(SUCCEEDED, step=name))
    assert len([line for line in stream.getvalue().splitlines() if " of 100" in line]) == 2


def test_the_run_is_told_with_its_page():
    assert lines_of(RunStarted(flow_run_id="1", name="calm-cat", url="http://x/1")) == ["run calm-cat: http://x/1"]


def test_the_end_is_told_with_what_became_of_all_calls():
    begun = RunStarted(flow_run_id="1", name="calm-cat", url=None)
    ended = RunEnded(state=RunState.FAILED, message="no", outputs={})
    told = lines_of(begun, event(STARTED), event(SUCCEEDED), event(FAILED, step="merge"), ended)
    assert told[-1] == "run calm-cat failed: 1 done, 1 failed"


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


def test_steps_to_come_are_shown_in_order_and_waiting_calls_apart_from_running_ones():
    inner = workflow(step("say"))
    tally = Tally(Clock())
    plan = workflow(step("scene", run=inner), step("merge"))
    tally.observe(RunStarted(flow_run_id="1", name="calm-cat", url=None, plan=plan))
    tally.observe(event(PLANNED, step="scene", count=5))
    tally.observe(event(PLANNED, step="scene[0].say", count=5))
    for kind in (STARTED, STARTED, SUCCEEDED):
        tally.observe(event(kind, step="scene[0].say"))
    assert list(tally.steps) == ["scene", "scene.say", "merge"]
    say, total = tally.steps["scene.say"], tally.calls()
    assert (say.running, say.waiting, say.done) == (1, 3, False)
    assert (total.total, total.ended, total.running) == (5, 1, 1)
    text = drawn(tally)
    assert "merge" in text
    assert "total" in text
    assert tally.steps["merge"].done is False


def test_how_long_it_will_take_is_told_once_every_step_has_shown_it():
    clock = Clock()
    tally = Tally(clock)
    tally.observe(RunStarted(flow_run_id="1", name="calm-cat", url=None, plan=workflow(step("align"), step("merge"))))
    tally.observe(event(PLANNED, count=4))
    clock.now = 10.0
    tally.observe(event(SUCCEEDED))
    assert tally.left_s() is None
    tally.observe(event(SKIPPED, step="merge"))
    assert tally.left_s() == 30.0
    assert "about 0:30 left" in drawn(tally)


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


def test_before_any_step_is_known_there_is_no_table():
    assert drawn(Tally()) == "0:00 waiting for the Prefect API\n"


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
