import asyncio

import pytest
from prefect.client.schemas.objects import StateType
from prefect.states import Cancelled, Completed, Failed

from cwl_prefect.errors import StepError, TemporaryStepError
from cwl_prefect.flows.execution.task_runs import (
    JITTER,
    MOST_EDGES,
    StepTasks,
    _attempt,
    _is_tried_again,
    _named,
    _skip,
    retry_delays,
)
from cwl_prefect.model.job import CallStatus, StepResult
from cwl_prefect.settings import Settings


class Work:
    def __init__(self, *answers) -> None:
        self._answers = list(answers)

    async def attempt(self) -> object:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Recorder:
    """Stands for a step's task and keeps how it was called."""

    def __init__(self, state) -> None:
        self.calls = []
        self._state = state

    async def __call__(self, *arguments, **options):
        self.calls.append((arguments, options))
        return self._state


def passing(message: str) -> StepError:
    """Give a failure after which another try is due."""
    error = TemporaryStepError(message)
    error.try_again = True
    return error


@pytest.fixture
def tasks() -> StepTasks:
    return StepTasks(
        Settings(retries=3, memory_retries=1, infrastructure_retries=1, retry_delay_s=0.5, retry_delay_most_s=3)
    )


class TestTries:
    @pytest.mark.parametrize(
        ("state", "worth"),
        [
            pytest.param(Failed(data=passing("later")), True, id="another-due"),
            pytest.param(Failed(data=TemporaryStepError("later")), False, id="no-more-due"),
            pytest.param(Failed(data=StepError("broken")), False, id="final"),
            pytest.param(Failed(data=ValueError("ours")), False, id="unexpected"),
            pytest.param(Completed(data=1), False, id="none"),
        ],
    )
    async def test_the_call_has_settled_whether_another_is_due(self, state, worth):
        assert await _is_tried_again(None, None, state) is worth

    def test_delays_double_up_to_the_most_and_differ(self, tasks):
        found = tasks._attempt
        assert (found.retries, found.retry_delay_seconds) == (5, [0.5, 1.0, 2.0, 3.0, 3.0])
        assert found.retry_jitter_factor == JITTER

    def test_without_retries_there_are_no_delays(self):
        settings = Settings(retries=0, memory_retries=0, infrastructure_retries=0)
        assert StepTasks(settings)._attempt.retries == 0

    def test_there_are_no_more_delays_than_prefect_takes(self):
        assert len(retry_delays(Settings(retries=500))) == 50
        assert StepTasks(Settings(retries=500))._attempt.retries == 505


class TestTaskRuns:
    def test_a_step_s_task_has_its_name_and_all_else_of_the_one_that_it_is_made_of(self):
        made = _named(_attempt, "align")
        assert made.name == "align"
        assert vars(made) == {**vars(_attempt), "name": "align"}

    @pytest.mark.parametrize("made", [_attempt, _skip], ids=["attempt", "skip"])
    def test_results_are_neither_stored_nor_looked_up(self, made):
        assert made.persist_result is False
        assert made.cache_policy.compute_key(None, {}, {}) is None

    async def test_a_task_only_awaits_its_work(self):
        assert await _attempt.fn("align[3]", Work(5)) == 5

    @pytest.mark.parametrize(
        ("status", "name", "message"),
        [(CallStatus.SUCCEEDED, "Completed", "why"), (CallStatus.CACHED, "Cached", "align[3]: why")],
    )
    async def test_a_state_says_what_a_call_was(self, status, name, message):
        result = StepResult(status=status, outputs={}, note="why")
        state = await _attempt.fn("align[3]", Work(result))
        assert (state.name, state.message, state.data) == (name, message, result)

    async def test_a_skipped_call_says_why(self):
        state = await _skip.fn("align[3]")
        assert (state.name, state.message) == ("Skipped", "align[3]: its when is false")

    async def test_the_result_comes_with_its_state(self, tasks):
        state = Completed(data=7)
        tasks._attempt = Recorder(state)
        assert await tasks.run("align", "align[3]", Work(), []) == (7, state)

    async def test_a_failure_is_raised_as_it_was(self, tasks):
        error = StepError("broken")
        tasks._attempt = Recorder(Failed(data=error))
        with pytest.raises(StepError) as found:
            await tasks.run("align", "align[3]", Work(), [])
        assert found.value is error
        assert error.told

    async def test_work_that_is_cancelled_did_not_crash(self):
        class Endless:
            async def attempt(self):
                await asyncio.sleep(60)

        running = asyncio.create_task(_attempt.fn("align[3]", Endless()))
        await asyncio.sleep(0)
        running.cancel()
        state = await running
        assert (state.type, state.message) == (StateType.CANCELLED, "align[3] was stopped")

    async def test_a_cancelled_task_run_cancels_who_waits_for_it(self, tasks):
        tasks._attempt = Recorder(Cancelled())
        with pytest.raises(asyncio.CancelledError):
            await tasks.run("align", "align[3]", Work(), [])

    async def test_prefect_does_not_look_into_the_work(self, tasks):
        recorder = tasks._attempt = Recorder(Completed(data=1))
        await tasks.run("align", "align[3]", Work(), [])
        ((label, work), options) = recorder.calls[0]
        assert label == "align[3]"
        assert isinstance(work.unwrap(), Work)
        assert options["return_state"] is True

    async def test_edges_have_a_bound(self, tasks):
        recorder = tasks._attempt = Recorder(Completed(data=1))
        await tasks.run("align", "align", Work(), [Completed() for _ in range(1000)])
        assert len(recorder.calls[0][1]["wait_for"]) == MOST_EDGES
