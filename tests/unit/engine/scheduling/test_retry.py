import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cwl_prefect.engine.scheduling.retry import Cause, Retries, RetryPolicy, cause_of
from cwl_prefect.errors import (
    BackendError,
    ImageError,
    LostStepError,
    MemoryStepError,
    ResourceError,
    StepError,
    TemporaryStepError,
)
from cwl_prefect.settings import Settings

ERRORS = {
    Cause.TOOL: TemporaryStepError("75"),
    Cause.MEMORY: MemoryStepError("killed"),
    Cause.INFRASTRUCTURE: LostStepError("evicted"),
}


def policy(tool: int = 0, memory: int = 0, infrastructure: int = 0, **more) -> RetryPolicy:
    most = {Cause.TOOL: tool, Cause.MEMORY: memory, Cause.INFRASTRUCTURE: infrastructure}
    return RetryPolicy(most=most, **more)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        pytest.param(TemporaryStepError("75"), Cause.TOOL, id="temporary"),
        pytest.param(MemoryStepError("killed"), Cause.MEMORY, id="memory"),
        pytest.param(LostStepError("evicted"), Cause.INFRASTRUCTURE, id="lost"),
        pytest.param(BackendError("engine restarts", passing=True), Cause.INFRASTRUCTURE, id="engine"),
        pytest.param(BackendError("no such mount"), None, id="refused"),
        pytest.param(ImageError("no such image"), None, id="image"),
        pytest.param(StepError("exit 1"), None, id="tool"),
        pytest.param(ResourceError("too large"), None, id="too-large"),
    ],
)
def test_what_may_pass_has_a_cause(error, cause):
    assert cause_of(error) is cause


@given(
    most=st.fixed_dictionaries({cause: st.integers(0, 4) for cause in Cause}),
    failures=st.lists(st.sampled_from(Cause), max_size=30),
)
def test_each_cause_is_counted_apart(most, failures):
    retries = Retries(RetryPolicy(most=most))
    granted = [cause for cause in failures if retries.another("a", ERRORS[cause], ram_mib=1)]
    for cause in Cause:
        assert granted.count(cause) == min(failures.count(cause), most[cause])


def test_each_call_is_counted_apart():
    retries = Retries(policy(tool=1))
    assert [retries.another(call, ERRORS[Cause.TOOL], ram_mib=None) for call in "aabb"] == [True, False, True, False]
    assert retries.tried("a")
    assert not retries.tried("c")


@given(
    first=st.floats(1, 1e6),
    factor=st.floats(1.01, 10),
    most=st.floats(1, 1e7),
)
def test_memory_grows_up_to_the_most_and_then_no_more(first, factor, most):
    rule = policy(memory=100, memory_factor=factor, memory_most_mib=most)
    retries, had = Retries(rule), first
    while retries.another("a", ERRORS[Cause.MEMORY], ram_mib=had):
        more = retries.ram_mib("a")
        assert more is not None
        assert had < more <= most
        assert more <= math.ceil(had * factor)
        had = more
    assert had >= min(most, first)


def test_other_failures_do_not_raise_the_request():
    retries = Retries(policy(tool=3, infrastructure=3))
    assert retries.another("a", ERRORS[Cause.TOOL], ram_mib=100)
    assert retries.another("a", ERRORS[Cause.INFRASTRUCTURE], ram_mib=100)
    assert retries.ram_mib("a") is None


def test_a_call_that_never_got_so_far_cannot_ask_for_more():
    assert not Retries(policy(memory=3)).another("a", ERRORS[Cause.MEMORY], ram_mib=None)


@pytest.mark.parametrize(("most", "expected"), [(None, 4096), (1000, 1000), (9999, 4096)])
def test_the_run_s_memory_is_the_most(most, expected):
    assert RetryPolicy.of(Settings(memory_most_mib=most), 4096).memory_most_mib == expected


def test_all_that_a_run_may_use_is_counted_in_whole_mebibytes():
    rule = RetryPolicy.of(Settings(), 7956.3)
    assert (rule.grown(5000), rule.grown(7956)) == (7956, None)
    assert RetryPolicy.of(Settings(memory_most_mib=6000), 7956.3).grown(5000) == 6000
