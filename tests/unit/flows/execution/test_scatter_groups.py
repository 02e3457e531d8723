import asyncio
from dataclasses import dataclass, field
from functools import partial

import pytest
from prefect.states import Completed

from cwl_prefect.errors import ServerError, StepError, TemporaryStepError
from cwl_prefect.flows.execution.gates import Gate, NotStartedError
from cwl_prefect.flows.execution.run import Progress
from cwl_prefect.flows.execution.scatter_groups import WideScatter, run_groups
from cwl_prefect.flows.execution.task_runs import GroupWork, _attempt, tell_group
from cwl_prefect.model.events import StepEventKind
from cwl_prefect.settings import OnError, Settings
from tests.unit.flows.driving import PlainTasks, drive, graph

SCATTER = graph("""
    inputs: {xs: 'string[]'}
    outputs: {r: {type: Any, outputSource: each/o}}
    steps:
      each: {run: '#say', scatter: x, in: {x: xs}, out: [o]}
    """)


@dataclass
class Run:
    """What groups need of a run."""

    settings: Settings
    progress: Progress = field(default_factory=Progress)


class Calls:
    """Calls that tell what they do; `fails` maps a number to its errors, one for each try."""

    def __init__(self, count: int, fails: dict | None = None, slow: set | frozenset = frozenset()) -> None:
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.cancelled: list[int] = []
        self.events = {number: asyncio.Event() for number in slow}
        self._fails = fails or {}
        self.all = [lambda number=number: self._call(number) for number in range(count)]

    async def _call(self, number: int) -> str:
        self.begun.append(number)
        try:
            if number in self.events:
                await self.events[number].wait()
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        if self._fails.get(number):
            raise self._fails[number].pop(0)
        self.ended.append(number)
        return f"result {number}"


def passing(message: str) -> StepError:
    """Give a failure after which another try is due."""
    error = TemporaryStepError(message)
    error.try_again = True
    return error


def settings(**changed) -> Settings:
    return Settings(group_size=3, **changed)


async def groups(calls: Calls, *, tries: int = 1, run: Run | None = None, gates=(), **changed):
    tasks = PlainTasks(tries=tries)
    run = run or Run(settings(**changed))
    states: list = []
    scatter = WideScatter(step="align", calls=calls.all, gates=gates)
    found = await run_groups(tasks, run, scatter, [Completed(name="before")], states)
    return found, tasks, [state.name for state in states]


class TestGroups:
    async def test_results_come_in_order(self):
        found, _, _ = await groups(Calls(7))
        assert found == [f"result {number}" for number in range(7)]

    async def test_a_task_run_is_named_after_the_places_of_its_calls(self):
        _, tasks, states = await groups(Calls(7))
        assert tasks.runs == [("align", "align[0-2]"), ("align", "align[3-5]"), ("align", "align[6-6]")]
        assert states == ["align[0-2]", "align[3-5]", "align[6-6]"]

    async def test_each_comes_after_what_it_uses(self):
        _, tasks, _ = await groups(Calls(4))
        assert tasks.after == {"align[0-2]": ["before"], "align[3-3]": ["before"]}

    async def test_no_call_is_begun_twice(self):
        calls = Calls(20)
        await groups(calls)
        assert sorted(calls.begun) == list(range(20))

    async def test_the_next_group_does_not_wait_for_a_straggler(self):
        calls = Calls(9, slow={0})
        running = asyncio.create_task(groups(calls))
        async with asyncio.timeout(5):
            while len(calls.ended) < 8:
                await asyncio.sleep(0)
        calls.events[0].set()
        found, _, _ = await running
        assert len(found) == 9

    async def test_few_groups_are_open_at_once(self):
        calls = Calls(30, slow=set(range(30)))
        running = asyncio.create_task(groups(calls))
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(calls.begun) == 3
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert sorted(calls.cancelled) == [0, 1, 2]


class TestFailures:
    async def test_a_failure_ends_the_others(self):
        calls = Calls(30, {1: [StepError("one")]}, slow={0, 2})
        with pytest.raises(StepError, match="one"):
            await groups(calls)
        assert sorted(calls.cancelled) == [0, 2]
        assert max(calls.begun) < 12

    async def test_no_more_groups_are_begun(self):
        calls = Calls(1000, {1: [StepError("one")]})
        with pytest.raises(StepError):
            await groups(calls)
        assert len(calls.begun) < 20

    async def test_no_more_groups_are_begun_once_all_tries_failed(self):
        calls = Calls(1000, {1: [passing("one")]}, slow={3})
        with pytest.raises(StepError):
            await groups(calls)
        assert len(calls.begun) < 20

    @pytest.mark.parametrize("on_error", OnError)
    async def test_a_task_run_that_cannot_begin_is_not_waited_for(self, on_error):
        class Refusing(PlainTasks):
            async def run(self, *arguments):
                raise ServerError("the server went away")

        calls = Calls(9)
        scatter = WideScatter(step="align", calls=calls.all)
        async with asyncio.timeout(5):
            with pytest.raises(ServerError):
                await run_groups(Refusing(), Run(settings(on_error=on_error)), scatter, [], [])
        assert calls.begun == []

    async def test_it_ends_other_groups_too(self):
        calls = Calls(9, {4: [StepError("four")]}, slow={0})
        with pytest.raises(StepError, match="four"):
            await groups(calls)
        assert calls.cancelled == [0]

    async def test_going_on_does_all_the_others(self):
        calls = Calls(9, {1: [StepError("one")], 5: [StepError("five")], 6: [StepError("six")]})
        run = Run(settings(on_error=OnError.CONTINUE))
        found, _, _ = await groups(calls, run=run)
        assert len(calls.ended) == 6
        assert [number for number, end in enumerate(found) if end == f"result {number}"] == [0, 2, 3, 4, 7, 8]
        assert [str(found[number]) for number in (1, 5, 6)] == ["one", "five", "six"]

    async def test_a_programming_error_is_not_hidden_by_going_on(self):
        calls = Calls(6, {1: [ZeroDivisionError("ours")], 4: [StepError("four")]})
        run = Run(settings(on_error=OnError.CONTINUE))
        with pytest.raises(ZeroDivisionError):
            await groups(calls, run=run)
        assert [error.message for error in run.progress.failures] == ["four"]


class TestGates:
    async def test_no_group_begins_behind_a_closed_gate(self):
        gate = Gate()
        gate.close()
        calls = Calls(7)
        found, _, _ = await groups(calls, gates=[gate], on_error=OnError.FINISH)
        assert calls.begun == []
        assert [type(end) for end in found] == [NotStartedError] * 7

    async def test_what_began_ends_and_is_not_lost_as_a_failure(self):
        gate = Gate()
        calls = Calls(9, slow={0, 1, 2})
        running = asyncio.create_task(groups(calls, gates=[gate], on_error=OnError.FINISH))
        while len(calls.begun) < 3:
            await asyncio.sleep(0)
        gate.close()
        for event in calls.events.values():
            event.set()
        found, _, _ = await running
        assert sorted(calls.ended) == [0, 1, 2]
        assert found[:3] == ["result 0", "result 1", "result 2"]
        assert [type(end) for end in found[3:]] == [NotStartedError] * 6

    async def test_a_failure_is_told_from_what_was_not_started(self):
        class Closing(Calls):
            async def _call(self, number):
                if number == 0:
                    await asyncio.sleep(0.01)
                    raise NotStartedError("not started")
                return await super()._call(number)

        found, _, _ = await groups(Closing(3, {2: [StepError("broken")]}), on_error=OnError.FINISH)
        assert [str(end) for end in found] == ["not started", "result 1", "broken"]


@pytest.mark.parametrize(
    ("cached", "name", "message"),
    [
        ([False, False], "Completed", "2 calls"),
        ([True, False], "Completed", "2 calls, 1 of them cached"),
        ([True, True], "Cached", "align[0-1]: 2 calls, 2 of them cached"),
    ],
)
async def test_the_task_run_of_a_group_says_what_became_of_its_calls(cached, name, message):
    async def call(*, cached: bool) -> None:
        tell_group(cached=cached)

    calls = [partial(call, cached=each) for each in cached]
    state = await _attempt.fn("align[0-1]", GroupWork(calls, stop=True, ended=lambda: None))
    assert (state.name, state.message) == (name, message)


class TestTries:
    @pytest.mark.parametrize("on_error", OnError)
    async def test_only_what_failed_is_tried_again(self, on_error):
        calls = Calls(6, {1: [passing("once")], 4: [passing("once"), passing("twice")]})
        found, _, _ = await groups(calls, tries=3, on_error=on_error)
        assert len(found) == 6
        assert sorted(calls.begun) == [0, 1, 1, 2, 3, 4, 4, 4, 5]

    async def test_the_last_try_counts(self):
        calls = Calls(3, {1: [passing("once"), passing("twice")]})
        with pytest.raises(TemporaryStepError, match="twice"):
            await groups(calls, tries=2)

    async def test_a_final_failure_does_not_hide_one_that_may_pass(self):
        calls = Calls(3, {0: [StepError("final")], 2: [passing("once")]})
        run = Run(settings(on_error=OnError.CONTINUE))
        found, _, _ = await groups(calls, tries=2, run=run)
        assert [str(end) for end in found] == ["final", "result 1", "result 2"]
        assert sorted(calls.begun) == [0, 1, 2, 2]
        assert sorted(calls.ended) == [1, 2]
        assert run.progress.failures == []

    async def test_tries_do_not_open_more_groups(self):
        calls = Calls(12, {number: [passing("once")] for number in range(3)}, slow=set(range(3, 12)))
        running = asyncio.create_task(groups(calls, tries=2))
        for _ in range(80):
            await asyncio.sleep(0)
        assert sorted(calls.begun) == [0, 0, 1, 1, 2, 2, 3, 4, 5]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


class TestScatters:
    async def test_a_scatter_past_the_threshold_is_grouped(self, tmp_path):
        run = drive(tmp_path, SCATTER)
        xs = [str(number) for number in range(220)]
        assert await run(xs=xs) == {"r": xs}
        assert run.tasks.labels == ["each[0-99]", "each[100-199]", "each[200-219]"]

    async def test_one_at_the_threshold_is_not(self, tmp_path):
        run = drive(tmp_path, SCATTER, group_threshold=3)
        await run(xs=["a", "b", "c"])
        assert sorted(run.tasks.labels) == ["each[0]", "each[1]", "each[2]"]

    async def test_each_call_is_still_told_by_itself(self, tmp_path):
        run = drive(tmp_path, SCATTER, group_threshold=1, group_size=2)
        await run(xs=["a", "b", "c"])
        assert run.told("each[2]") == [StepEventKind.STARTED, StepEventKind.SUCCEEDED]

    async def test_a_failing_call_names_itself(self, tmp_path):
        run = drive(tmp_path, SCATTER, group_threshold=1, group_size=10)
        with pytest.raises(StepError) as found:
            await run(xs=["a", "b", "fail"])
        assert found.value.step == "each[2]"
        assert '\n  inputs:    x "fail"\n' in found.value.message

    async def test_a_try_repeats_only_the_failed_call(self, tmp_path):
        run = drive(tmp_path, SCATTER, group_threshold=1, group_size=10, tries=2, temporary=1)
        assert await run(xs=["a", "temp", "c"]) == {"r": ["a", "temp", "c"]}
        assert sorted(command[1] for command in run.player.commands) == ["a", "c", "temp", "temp"]

    async def test_the_next_step_comes_after_the_groups(self, tmp_path):
        document = graph("""
            inputs: {xs: 'string[]'}
            outputs: {r: {type: string, outputSource: join/o}}
            steps:
              each: {run: '#say', scatter: x, in: {x: xs}, out: [o]}
              join: {run: '#all', in: {x: each/o}, out: [o]}
            """)
        run = drive(tmp_path, document, group_threshold=1, group_size=2)
        assert await run(xs=["a", "b", "c"]) == {"r": "a b c"}
        assert run.tasks.after["join"] == ["each[0-1]", "each[2-2]"]

    async def test_skipped_calls_of_a_group_have_no_task_runs(self, tmp_path):
        document = SCATTER.replace("scatter: x,", 'scatter: x, when: $(inputs.x != "b"),')
        run = drive(tmp_path, document, group_threshold=1, group_size=10)
        assert await run(xs=["a", "b", "c"]) == {"r": ["a", None, "c"]}
        assert run.tasks.skipped == []
        assert run.told("each[1]") == [StepEventKind.SKIPPED]
