"""Play a case: kill, resume until the run is complete, and note all that a test wants to know."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.case import Case, Target
from tests.chaos.executions import ContainerEvents, Executions, kept, logged
from tests.chaos.lane import Lane
from tests.chaos.leftovers import left
from tests.chaos.runs import Commanded, Run, run_of
from tests.chaos.workflow import CALLS
from tests.waiting import until

MOST_RESUMES = 4
RECORDED_S = 1.5  # so long before a kill a call must have ended to be surely kept
START_S = 60
SEEN_S = 10  # after a run the engine's events are here


@dataclass(frozen=True, slots=True, kw_only=True)
class Undisturbed:
    """A run that nothing disturbed."""

    start_s: float  # until its first call began
    work_s: float  # from then to its end
    outputs: Mapping[str, list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """A moment, and the calls whose results the cache had by then."""

    moment: float
    kept: frozenset[str]


@dataclass(kw_only=True)
class Ending:
    """How a case ended."""

    outputs: Mapping[str, list[str]]
    executions: Executions
    left: list[str]
    kills: list[Kill] = field(default_factory=list)
    resumes: int = 0

    def executed_again(self) -> list[str]:
        """Name the calls that were executed after a kill although their results had been kept before it."""
        again: list[str] = []
        for kill in self.kills:
            again += sorted((kill.kept | self._recorded(kill)) & self.executions.after(kill.moment))
        return again

    def _recorded(self, kill: Kill) -> set[str]:
        """Name the calls that nothing was killed beside, or so soon after that their results may not have been kept."""
        return {
            name
            for name, moments in self.executions.ended.items()
            for moment in moments
            if moment < kill.moment - RECORDED_S
            and not any(
                self.executions.began_before(name, moment) <= other.moment <= moment + RECORDED_S
                for other in self.kills
            )
        }

    def executed_twice(self) -> list[str]:
        """Name the calls that were executed twice, although none was about to be kept when its driver was killed.

        Containers are removed when they have ended, and their results kept after that.
        """
        about = {
            name
            for name, moments in self.executions.ended.items()
            if any(kill.moment - RECORDED_S <= moment <= kill.moment for moment in moments for kill in self.kills)
        }
        return sorted(name for name, moments in self.executions.began.items() if len(moments) > 1 and name not in about)


@dataclass(frozen=True, slots=True, kw_only=True)
class Player:
    """Plays cases in a home."""

    lane: Lane
    events: ContainerEvents | None

    def undisturbed(self, backend: str) -> Undisturbed:
        """Run the workflow to its end, and see that its calls are counted and kept."""
        assert self.lane.site.api  # so that its server is up, and no part of the time
        run = Commanded(self.lane.place(f"undisturbed-{backend}"), backend)
        began = time.time()
        run.start()
        assert run.ended(), run.told
        ended = time.time()
        counted = self._executions(run)
        assert {name: len(moments) for name, moments in counted.began.items()} == dict.fromkeys(CALLS, 1)
        assert set(counted.ended) == kept(run.place.cache) == CALLS
        (first,) = counted.began["upper"]
        return Undisturbed(start_s=first - began, work_s=ended - first, outputs=digest(run.outputs()))

    def play(self, case: Case, expected: Undisturbed) -> Ending:
        """Kill once or twice, and resume until the run is complete."""
        run = run_of(case, self.lane.place(f"chaos-{case.seed}", wide=case.wide))
        kills: list[Kill] = []
        try:
            run.start()
            self._wait(run, case, expected)
            for attempt in range(MOST_RESUMES + 1):
                if attempt == 0 or (attempt == 1 and case.again):
                    kills.append(self._kill(run, case.target))
                if run.ended():
                    return self._ending(run, kills, attempt)
                run.resume()
                if attempt == 0 and case.again:
                    time.sleep(expected.start_s + expected.work_s * case.moment / 2)
        finally:
            run.close()
        raise AssertionError(f"the run did not end in {MOST_RESUMES} resumes: {run.told}")

    def _wait(self, run: Run, case: Case, expected: Undisturbed) -> None:
        """Wait for the moment of a case, however slow the machine is just now."""
        if not case.at_work:
            time.sleep(expected.start_s * case.moment)
            return
        until(lambda: self._counted(run).began or not run.goes_on(), START_S, pause_s=0.1)
        time.sleep(expected.work_s * case.moment)

    def _kill(self, run: Run, target: Target) -> Kill:
        if target in (Target.DRIVER, Target.WORKER_AND_RUN):
            run.kill(target)
            return Kill(moment=time.time(), kept=frozenset(kept(run.place.cache)))
        found = Kill(moment=time.time(), kept=frozenset(kept(run.place.cache)))
        run.kill(target)
        return found

    def _ending(self, run: Run, kills: list[Kill], resumes: int) -> Ending:
        outputs = digest(run.outputs())
        run.close()
        return Ending(
            outputs=outputs,
            executions=self._executions(run),
            left=left(run, docker=self.events is not None),
            kills=kills,
            resumes=resumes,
        )

    def _executions(self, run: Run) -> Executions:
        until(lambda: set(self._counted(run).ended) == CALLS, SEEN_S)
        return self._counted(run)

    def _counted(self, run: Run) -> Executions:
        if run.backend == "local":
            return logged(run.place.log)
        assert self.events is not None
        return self.events.executions(run.run_ids | run.place.run_ids())


def digest(outputs: Mapping[str, object]) -> dict[str, list[str]]:
    """Give the checksums of all outputs, read from where they were published."""
    found = {}
    for port, value in outputs.items():
        files = value if isinstance(value, list) else [value]
        found[port] = [hashlib.sha256(Path(file["path"]).read_bytes()).hexdigest() for file in files]
    return found
