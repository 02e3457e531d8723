import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cwl_prefect.engine.workflow.dataflow import Dataflow
from cwl_prefect.errors import InputError
from cwl_prefect.model.plan import InputPort, Link, OutputPort, PickValue, StepId, StepPlan, WorkflowPlan
from tests import plans
from tests.plans import link


def step(name: str, *sources: str) -> StepPlan:
    return plans.step(name, *(link(f"i{number}", each) for number, each in enumerate(sources)))


def workflow(
    *steps: StepPlan, outputs: tuple[Link, ...] = (), inputs: tuple[InputPort, ...] | None = None
) -> WorkflowPlan:
    return plans.workflow(
        *steps,
        inputs=(InputPort(id="x", type="int"),) if inputs is None else inputs,
        outputs=tuple(OutputPort(id=each.port, type="Any", link=each) for each in outputs),
    )


def names(steps) -> list[str]:
    return [each.id for each in steps]


DIAMOND = workflow(
    step("a", "x"),
    step("b", "a/o"),
    step("c", "a/o", "x"),
    step("d", "b/o", "c/o", "b/o"),
    outputs=(link("end", "d/o"), link("early", "a/o")),
)


def test_a_step_is_ready_when_its_last_source_exists():
    flow = Dataflow(DIAMOND, {"x": 1})
    assert names(flow.ready()) == ["a"]
    assert flow.ready() == ()
    flow.complete(StepId("a"), {"o": 10})
    assert names(flow.ready()) == ["b", "c"]
    flow.complete(StepId("c"), {"o": 30})
    assert flow.ready() == ()
    flow.complete(StepId("b"), {"o": 20})
    [last] = flow.ready()
    assert flow.step_inputs(last) == {"i0": 20, "i1": 30, "i2": 20}
    assert flow.upstream(last) == ("b", "c")
    with pytest.raises(ValueError, match="'d' has no outputs"):
        flow.outputs()
    flow.complete(StepId("d"), {"o": 40})
    assert flow.outputs() == {"end": 40, "early": 10}


def test_a_failure_loses_only_what_is_downstream():
    flow = Dataflow(DIAMOND, {"x": 1})
    flow.ready()
    flow.complete(StepId("a"), {"o": 10})
    flow.ready()
    assert flow.fail(StepId("b")) == ("d",)
    assert flow.fail(StepId("c")) == ()
    assert flow.ready() == ()
    assert flow.outputs(partial=True) == {"end": None, "early": 10}
    with pytest.raises(ValueError, match="'d' has no outputs"):
        flow.outputs()


def test_a_step_that_failed_before_it_was_handed_out_is_never_ready():
    flow = Dataflow(workflow(step("a", "x"), step("b", "x")), {})
    flow.fail(StepId("a"))
    assert names(flow.ready()) == ["b"]


def test_defaults_stand_in_for_null_inputs_and_absent_outputs_are_null():
    plan = workflow(step("a", "x"), inputs=(InputPort(id="x", type="int", default=5),), outputs=(link("out", "a/o"),))
    flow = Dataflow(plan, {"x": None})
    [first] = flow.ready()
    assert flow.step_inputs(first) == {"i0": 5}
    flow.complete(StepId("a"), {})
    assert flow.outputs() == {"out": None}


def test_errors_of_merging_say_in_which_port():
    picky = plans.step("a", link("i", "x", "x", pick_value=PickValue.FIRST_NON_NULL))
    plan = workflow(picky, outputs=(link("out", "x", "x", pick_value=PickValue.THE_ONLY_NON_NULL),))
    flow = Dataflow(plan, {})
    with pytest.raises(InputError, match="every source of 'i' is null") as of_step:
        flow.step_inputs(picky)
    assert of_step.value.parts == ("input i",)
    with pytest.raises(InputError, match="every source of 'out' is null") as of_workflow:
        flow.outputs()
    assert of_workflow.value.parts == ("output out",)


def test_a_workflow_without_steps_passes_its_inputs_through():
    flow = Dataflow(workflow(outputs=(link("out", "x"),)), {"x": 3})
    assert flow.ready() == ()
    assert flow.outputs() == {"out": 3}


def test_a_tool_alone_has_unlinked_outputs():
    plan = workflow(step("a"))
    assert Dataflow(plan, {}).outputs() == {}


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(workflow(step("a", "nobody/o")), id="step"),
        pytest.param(workflow(outputs=(link("out", "nobody/o"),)), id="output"),
    ],
)
def test_refuses_a_link_from_nowhere(plan):
    with pytest.raises(ValueError, match="no step 'nobody'"):
        Dataflow(plan, {})


def test_refuses_to_end_a_step_twice():
    flow = Dataflow(workflow(step("a")), {})
    with pytest.raises(ValueError, match="not running"):
        flow.complete(StepId("a"), {})
    flow.ready()
    flow.complete(StepId("a"), {})
    with pytest.raises(ValueError, match="not running"):
        flow.complete(StepId("a"), {})
    with pytest.raises(ValueError, match="cannot fail"):
        flow.fail(StepId("a"))


def test_a_long_chain_is_no_recursion():
    steps = [step("s0", "x"), *(step(f"s{n}", f"s{n - 1}/o") for n in range(1, 2_000))]
    flow = Dataflow(workflow(*steps, outputs=(link("end", "s1999/o"),)), {"x": 0})
    while ready := flow.ready():
        for each in ready:
            flow.complete(each.id, {"o": flow.step_inputs(each)["i0"] + 1})
    assert flow.outputs() == {"end": 2_000}
    assert len(Dataflow(workflow(*steps), {}).fail(StepId("s0"))) == 1_999


@st.composite
def graphs(draw):
    count = draw(st.integers(0, 12))
    return [draw(st.sets(st.integers(0, number - 1))) if number else set() for number in range(count)]


@given(graphs(), st.randoms(use_true_random=False), st.sets(st.integers(0, 11)))
def test_every_step_runs_once_after_its_sources_or_not_at_all(graph, random, failing):
    steps = [step(f"s{n}", *(f"s{source}/o" for source in sources)) for n, sources in enumerate(graph)]
    flow = Dataflow(workflow(*steps), {})
    running, done, lost = [], [], set()
    while len(done) + len(lost) < len(steps):
        flow = pickle.loads(pickle.dumps(flow))
        running.extend(names(flow.ready()))
        ending = running.pop(random.randrange(len(running)))
        number = int(ending[1:])
        assert all(f"s{source}" in done for source in graph[number])
        if number in failing:
            lost.update([ending, *flow.fail(StepId(ending))])
        else:
            flow.complete(StepId(ending), {"o": number})
            done.append(ending)
    assert len(done) == len(set(done))
    assert set(done) | lost == {each.id for each in steps}
    assert not set(done) & lost
