from itertools import chain

from cwl_prefect.reports.tally import Tally
from cwl_prefect.runs.records import StepRecord
from cwl_prefect.runs.watching import events_between

EARLY = [StepRecord(step="align", waiting=6, running=2)]
LATER = [
    StepRecord(step="align", waiting=1, running=2, succeeded=2, cached=1, failed=1, skipped=1),
    StepRecord(step="sort", running=1),
]


def test_what_happened_between_looks_adds_up_to_what_the_driver_counted():
    tally = Tally()
    for event in chain(events_between([], EARLY), events_between(EARLY, LATER)):
        tally.observe(event)

    align, sort = tally.steps["align"], tally.steps["sort"]
    assert (align.total, align.waiting, align.running) == (8, 1, 2)
    assert (align.succeeded, align.cached, align.failed, align.skipped) == (2, 1, 1, 1)
    assert (sort.total, sort.running, sort.done) == (1, 1, False)


def test_how_many_calls_a_step_has_is_told_once():
    later = [StepRecord(step="align", waiting=4, running=3, failed=1)]
    assert [event.kind.value for event in events_between(EARLY, later)] == ["started", "started", "failed"]


def test_where_nothing_changed_nothing_happened():
    assert list(events_between(LATER, LATER)) == []
