"""How far the steps of a run are: counts of its events, from which displays are drawn."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from cwl_prefect.model.events import RunEvent, RunStarted, StepEvent, StepEventKind
from cwl_prefect.model.names import without_indices
from cwl_prefect.model.plan import WorkflowPlan

ENDINGS = frozenset(
    {
        StepEventKind.SUCCEEDED,
        StepEventKind.CACHED,
        StepEventKind.SKIPPED,
        StepEventKind.FAILED,
        StepEventKind.CANCELLED,
    }
)


@dataclass(slots=True)
class StepCounts:
    """How far one step is."""

    name: str
    began_at: float | None = None  # None: it is still to come
    subworkflow: bool = False  # whose own steps are counted too
    planned: int = 0
    started: int = 0
    ended: int = 0
    succeeded: int = 0
    cached: int = 0
    skipped: int = 0
    failed: int = 0
    cancelled: int = 0
    retried: int = 0
    ended_at: float | None = None

    @property
    def total(self) -> int:
        """Calls known so far."""
        return max(self.planned, self.started, self.ended)

    @property
    def running(self) -> int:
        """Calls at work now."""
        return max(self.started - self.succeeded - self.failed - self.cancelled, 0)

    @property
    def waiting(self) -> int:
        """Calls that are known and have not begun."""
        return max(self.total - self.ended - self.running, 0)

    @property
    def done(self) -> bool:
        """Whether every known call ended."""
        return self.began_at is not None and self.ended >= self.total

    def left_s(self, now: float) -> float | None:
        """Return in how many seconds it is done if it goes on as so far; None where nobody can tell yet."""
        if self.done:
            return 0.0
        if self.began_at is None or not self.succeeded:
            return None
        return (now - self.began_at) / self.ended * (self.total - self.ended)

    def summary(self) -> str:
        """Return what became of the calls."""
        words = {
            "done": self.succeeded,
            "cached": self.cached,
            "skipped": self.skipped,
            "failed": self.failed,
            "cancelled": self.cancelled,
        }
        told = ", ".join(f"{count} {word}" for word, count in words.items() if count)
        return told or "nothing to do"


_ADDED = ("started", "ended", "succeeded", "cached", "skipped", "failed", "cancelled", "retried")


@dataclass(slots=True)
class Tally:
    """Counts every event of a run."""

    clock: Callable[[], float] = monotonic
    steps: dict[str, StepCounts] = field(default_factory=dict)  # indices of enclosing scatters are left out
    planned: dict[str, int] = field(default_factory=dict)
    began_at: float = field(init=False)
    run: RunStarted | None = None

    def __post_init__(self) -> None:
        self.began_at = self.clock()

    def observe(self, event: RunEvent) -> StepCounts | None:
        """Count one event, and give the step it changed."""
        if isinstance(event, RunStarted):
            self.run = event
            self._expect(event.plan)
        if not isinstance(event, StepEvent):
            return None
        name = without_indices(event.step)
        counts = self.steps.get(name)
        if counts is None:
            counts = self.steps[name] = StepCounts(name)
        counts.subworkflow = counts.subworkflow or event.subworkflow  # where no plan tells it, its first call does
        if counts.began_at is None:
            counts.began_at = self.clock()
        self._count(counts, event)
        return counts

    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return self.clock() - self.began_at

    def own_steps(self) -> list[StepCounts]:
        """Return the steps that run something themselves, so no subworkflows."""
        return [counts for counts in self.steps.values() if not counts.subworkflow]

    def calls(self) -> StepCounts:
        """Add up the calls of all steps that run something themselves."""
        own = self.own_steps()
        added = {name: sum(getattr(counts, name) for counts in own) for name in _ADDED}
        planned = sum(counts.total for counts in own)
        return StepCounts("total", self.began_at, **{**added, "planned": planned})

    def left_s(self) -> float | None:
        """Return in how many seconds all is done if it goes on as so far; None where nobody can tell yet."""
        left = [counts.left_s(self.clock()) for counts in self.own_steps()]
        known = [seconds for seconds in left if seconds is not None]
        return max(known, default=None) if len(known) == len(left) else None

    def _expect(self, plan: WorkflowPlan | None, prefix: str = "") -> None:
        """Make room for the steps that are to come, in the order of the document."""
        for step in () if plan is None else plan.steps:
            name, inner = f"{prefix}{step.id}", step.run if isinstance(step.run, WorkflowPlan) else None
            self.steps.setdefault(name, StepCounts(name, subworkflow=inner is not None))
            self._expect(inner, f"{name}.")

    def _count(self, counts: StepCounts, event: StepEvent) -> None:
        match event.kind:
            case StepEventKind.PLANNED:
                known = self.planned.get(event.step, 0)
                self.planned[event.step] = max(known, event.count or 0)  # a loop plans again with every iteration
                counts.planned += self.planned[event.step] - known
            case StepEventKind.RETRYING:
                counts.retried += 1
            case kind:  # each of the others has a count of its name
                setattr(counts, kind.value, getattr(counts, kind.value) + 1)
        if event.kind in ENDINGS:
            counts.ended += 1
            counts.ended_at = self.clock()
