"""A run as it goes on elsewhere: what happened in it between two looks at what its driver has told the API."""

from collections.abc import Iterator, Mapping, Sequence

from cwl_prefect.model.events import StepEvent, StepEventKind
from cwl_prefect.runs.records import StepRecord

_ENDINGS = (
    StepEventKind.SUCCEEDED,
    StepEventKind.CACHED,
    StepEventKind.SKIPPED,
    StepEventKind.FAILED,
    StepEventKind.CANCELLED,
)
_NEVER_STARTED = (StepEventKind.CACHED, StepEventKind.SKIPPED)


def events_between(before: Sequence[StepRecord], now: Sequence[StepRecord]) -> Iterator[StepEvent]:
    """Yield what happened to the steps of a run between two looks; which call it was is not known.

    Args:
        before: How far the steps were; empty at first.
        now: How far they are.
    """
    known = {row.step: row for row in before}
    for row in now:
        earlier = known.get(row.step, StepRecord(step=row.step))
        if row == earlier:
            continue
        counts, counts_before = _counts(row), _counts(earlier)
        if row.step not in known or counts[StepEventKind.PLANNED] != counts_before[StepEventKind.PLANNED]:
            yield StepEvent(kind=StepEventKind.PLANNED, step=row.step, count=counts[StepEventKind.PLANNED])
        for kind in (StepEventKind.STARTED, *_ENDINGS):
            for _ in range(counts[kind] - counts_before[kind]):
                yield StepEvent(kind=kind, step=row.step)


def _counts(row: StepRecord) -> Mapping[StepEventKind, int]:
    counts = {kind: int(getattr(row, kind.value)) for kind in _ENDINGS}
    started = row.running + sum(counts[kind] for kind in _ENDINGS if kind not in _NEVER_STARTED)
    planned = row.waiting + row.running + sum(counts.values())
    return {**counts, StepEventKind.STARTED: started, StepEventKind.PLANNED: planned}
