"""What is not started any more after a failure; the driver's own tests cover stopping and continuing."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cwl_prefect.engine.records.manifest import Outcome
from cwl_prefect.errors import (
    BackendError,
    CwlPrefectError,
    ImageError,
    InputError,
    PublishError,
    ResourceError,
    StepError,
)
from cwl_prefect.flows.execution.failures import failed_state
from cwl_prefect.flows.execution.gates import Breaker
from cwl_prefect.flows.execution.run import RunReport
from cwl_prefect.model.events import StepEventKind
from cwl_prefect.settings import OnError
from tests.unit.flows.driving import drive, graph, subworkflow

BESIDE = graph(
    """
    inputs: {n: string, xs: 'string[]'}
    outputs: {r: {type: 'string?', outputSource: bad/o}, s: {type: 'string?', outputSource: next/o}}
    steps:
      bad: {run: '#say', in: {x: n}, out: [o]}
      many: {run: '#say', scatter: x, in: {x: xs}, out: [o]}
      next: {run: '#all', in: {x: many/o}, out: [o]}
    """
)
SCATTER = graph(
    """
    inputs: {xs: 'string[]'}
    outputs: {r: {type: 'string[]?', outputSource: each/o}}
    steps: {each: {run: '#say', scatter: x, in: {x: xs}, out: [o]}}
    """
)


def one_at_a_time(run):
    """Let calls run one after the other."""
    run.pool.__init__(cores=1, ram_mib=100_000)
    return run


class TestFinish:
    async def test_what_runs_is_let_to_its_end_and_nothing_more_begins(self, tmp_path):
        run = drive(tmp_path, BESIDE, on_error=OnError.FINISH, max_calls=3)
        assert await run(n="fail", xs=["a", "b", "c", "d", "e"]) == {"r": None, "s": None}
        assert run.player.cancelled == []
        assert "next" not in run.tasks.labels
        begun = [label for label in run.tasks.labels if label.startswith("many")]
        assert 0 < len(begun) < 5
        for label in begun:
            assert run.told(label)[-1] is StepEventKind.SUCCEEDED

    async def test_only_the_failure_is_told(self, tmp_path):
        run = drive(tmp_path, BESIDE, on_error=OnError.FINISH, max_calls=3)
        await run(n="fail", xs=["a", "b", "c", "d", "e"])
        assert run.errors == ["bad"]

    async def test_calls_that_wait_are_told_as_cancelled(self, tmp_path):
        run = one_at_a_time(drive(tmp_path, SCATTER, on_error=OnError.FINISH))
        await run(xs=["fail", "b", "c"])
        assert run.tasks.labels == ["each[0]"]
        assert run.told("each[1]") == run.told("each[2]") == [StepEventKind.CANCELLED]

    async def test_groups_that_have_not_begun_do_not_begin(self, tmp_path):
        run = one_at_a_time(drive(tmp_path, SCATTER, on_error=OnError.FINISH, group_threshold=1, group_size=2))
        await run(xs=["a", "fail", "c", "d", "e", "f", "g", "h"])
        assert len(run.player.commands) <= 4
        assert run.errors == ["each[1]"]

    async def test_a_subworkflow_stops_beginning_too(self, tmp_path):
        inner = subworkflow(
            "inner",
            """
            inputs: {t: string}
            outputs: {r: {type: string, outputSource: two/o}}
            steps:
              one: {run: '#say', in: {x: t}, out: [o]}
              two: {run: '#say', in: {x: one/o}, out: [o]}
            """,
        )
        document = graph(
            """
            inputs: {xs: 'string[]'}
            outputs: {r: {type: 'string[]?', outputSource: each/r}}
            steps: {each: {run: '#inner', scatter: t, in: {t: xs}, out: [r]}}
            """,
            inner,
        )
        run = one_at_a_time(drive(tmp_path, document, on_error=OnError.FINISH))
        assert await run(xs=["fail", *"abcdef"]) == {"r": [None] * 7}
        # Inputs of subworkflows are prepared in threads, so that another call may be the first to wait for its turn.
        assert run.player.commands[-1] == ("say", "fail")
        assert len(run.player.commands) < 1 + 2 * len("abcdef")
        assert run.errors == ["each[0].one"]

    async def test_a_try_that_may_pass_closes_nothing(self, tmp_path):
        run = drive(tmp_path, SCATTER, on_error=OnError.FINISH, tries=3, temporary=2)
        assert await run(xs=["temp", "b", "c"]) == {"r": ["temp", "b", "c"]}

    async def test_nothing_fails_where_nothing_is_wrong(self, tmp_path):
        run = drive(tmp_path, BESIDE, on_error=OnError.FINISH)
        assert await run(n="a", xs=["b", "c"]) == {"r": "a", "s": "b c"}


class TestBreaker:
    @pytest.mark.parametrize("threshold", [100, 1], ids=["apart", "grouped"])
    async def test_a_scatter_that_only_fails_is_ended(self, tmp_path, threshold):
        run = one_at_a_time(
            drive(
                tmp_path,
                SCATTER,
                on_error=OnError.CONTINUE,
                circuit_breaker=3,
                group_threshold=threshold,
                group_size=5,
            )
        )
        assert await run(xs=["fail"] * 50) == {"r": [None] * 50}
        assert len(run.player.commands) < 10
        *failures, ended = run.progress.failures
        assert len(failures) == len(run.player.commands)
        assert "first 3 calls to end failed alike" in ended.message
        first = ended.message.partition("The first was: ")[2]
        assert first.endswith("flow.cwl:8:3: each[0] failed: it exited with code 1")

    async def test_the_rest_of_the_workflow_goes_on(self, tmp_path):
        run = drive(tmp_path, BESIDE, on_error=OnError.CONTINUE, circuit_breaker=2, max_calls=2)
        assert await run(n="a", xs=["fail"] * 9) == {"r": "a", "s": None}

    async def test_one_that_ends_well_among_the_first_keeps_it_open(self, tmp_path):
        run = one_at_a_time(drive(tmp_path, SCATTER, on_error=OnError.CONTINUE, circuit_breaker=3))
        await run(xs=["a", *["fail"] * 9])
        assert len(run.player.commands) == 10

    async def test_it_is_off_by_default(self, tmp_path):
        run = one_at_a_time(drive(tmp_path, SCATTER, on_error=OnError.CONTINUE))
        await run(xs=["fail"] * 9)
        assert len(run.player.commands) == 9

    @given(st.lists(st.sampled_from([0, 1, 2, "usage"]), max_size=12), st.integers(1, 5))
    def test_only_the_first_and_only_alike_failures_count(self, ends, most):
        breaker = Breaker("each", most=most, count=20)
        for end in ends:
            if end == 0:
                breaker.passed()
            elif end == "usage":
                breaker.failed(ResourceError("too large"))
            else:
                breaker.failed(StepError("failed", exit_status=end))
        first = ends[:most]
        assert breaker.closed == (len(first) == most and first[0] in (1, 2) and len(set(first)) == 1)
        assert bool(breaker.errors) == breaker.closed


async def test_finishing_can_still_be_cancelled(tmp_path):
    run = drive(tmp_path, SCATTER, on_error=OnError.FINISH)
    running = asyncio.create_task(run(xs=["slow", "fail"]))
    async with asyncio.timeout(10):
        while len(run.player.commands) < 2:
            await asyncio.sleep(0.005)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert run.player.running == 0


@pytest.mark.parametrize(
    ("errors", "closed"),
    [
        pytest.param([ImageError("none"), ImageError("none")], True, id="images"),
        pytest.param([ImageError("none"), StepError("failed", exit_status=1)], False, id="image-and-exit"),
    ],
)
def test_images_that_cannot_be_had_count_as_failures_that_are_alike(errors: list[CwlPrefectError], closed: bool):
    breaker = Breaker("align", most=2, count=9)
    for error in errors:
        breaker.failed(error)
    assert breaker.closed is closed


@pytest.mark.parametrize(("on_error", "name"), [(OnError.FINISH, "Unfinished"), (OnError.CONTINUE, "Partial")])
@pytest.mark.parametrize("kind", [ImageError, ResourceError, BackendError, InputError, StepError])
def test_the_state_of_a_run_tells_what_was_done_however_a_step_failed(on_error, name, kind):
    state = failed_state(RunReport(outcome=Outcome.FAILED, errors=(kind("it cannot be"),)), on_error)
    assert getattr(state, "name", None) == name


def test_the_state_of_a_run_whose_results_could_not_be_published_is_plain():
    report = RunReport(outcome=Outcome.FAILED, errors=(PublishError("no room"),))
    assert failed_state(report, OnError.CONTINUE) is None
