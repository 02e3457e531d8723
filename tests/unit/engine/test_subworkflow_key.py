"""A subworkflow is known by what it does, not by how its steps are called or in which order they are written."""

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cwl_prefect.engine.subworkflow_key import Inside, for_people, structure
from cwl_prefect.model.plan import (
    InputPort,
    Link,
    OutputPort,
    Scatter,
    ScatterMethod,
    Source,
    StepId,
    StepPlan,
)
from tests import plans


@st.composite
def insides(draw: st.DrawFn) -> Inside:
    """Make a workflow of up to six steps, each of which takes values from inputs and from steps before it."""
    steps: list[StepPlan] = []
    for number in range(draw(st.integers(1, 6))):
        before = st.sampled_from([None, *(step.id for step in steps)])
        links = tuple(
            Link(port=f"in{port}", sources=(Source(step=draw(before), port="x"),))
            for port in range(draw(st.integers(1, 3)))
        )
        steps.append(plans.step(f"s{number}", *links, outputs=("x",)))
    last = Link(port="o", sources=(Source(step=steps[-1].id, port="x"),))
    plan = plans.workflow(
        *steps,
        document={"inputs": []},
        inputs=(InputPort(id="x", type="string"),),
        outputs=(OutputPort(id="o", type="string", link=last),),
    )
    return Inside(
        plan=plan,
        declared={"inputs": {"input x": "string"}},
        processes={step.id: {"tool": draw(st.integers(0, 2))} for step in steps},
        scripts={step.id: {} for step in steps},
        defaults={},
    )


def described(inside: Inside) -> object:
    return structure(inside, lambda value: value)


def renamed(inside: Inside, names: dict[StepId, StepId]) -> Inside:
    def link(old: Link) -> Link:
        sources = (replace(source, step=names.get(source.step)) if source.step else source for source in old.sources)
        return replace(old, sources=tuple(sources))

    plan = replace(
        inside.plan,
        steps=tuple(
            replace(step, id=names[step.id], label="a label", links=tuple(map(link, step.links)))
            for step in inside.plan.steps
        ),
        outputs=tuple(replace(port, doc="a text", link=link(port.link)) for port in inside.plan.outputs),
    )
    return replace(
        inside,
        plan=plan,
        processes={names[step]: process for step, process in inside.processes.items()},
        scripts={names[step]: script for step, script in inside.scripts.items()},
    )


def in_another_order(inside: Inside, order: random.Random) -> Inside:
    left, placed = list(inside.plan.steps), []
    while left:
        known = {step.id for step in placed} | {None}
        ready = [step for step in left if all(source.step in known for link in step.links for source in link.sources)]
        placed.append(order.choice(ready))
        left.remove(placed[-1])
    return replace(inside, plan=replace(inside.plan, steps=tuple(placed)))


@given(insides(), st.randoms(use_true_random=False))
def test_names_labels_and_order_of_steps_do_not_count(inside: Inside, order: random.Random):
    names = [step.id for step in inside.plan.steps]
    others = [StepId(f"other {number}") for number in range(len(names))]
    order.shuffle(others)
    changed = in_another_order(renamed(inside, dict(zip(names, others, strict=True))), order)
    assert described(changed) == described(inside)


def with_step(inside: Inside, number: int, **changes) -> Inside:
    steps = list(inside.plan.steps)
    steps[number] = replace(steps[number], **changes)
    return replace(inside, plan=replace(inside.plan, steps=tuple(steps)))


CHANGES = [
    lambda step: {"when": "$(inputs.x)"},
    lambda step: {"scatter": Scatter(ports=("in0",), method=ScatterMethod.DOTPRODUCT)},
    lambda step: {"links": (*step.links, Link(port="more", default=1))},
    lambda step: {"links": (replace(step.links[0], value_from="$(self)"), *step.links[1:])},
    lambda step: {"links": (replace(step.links[0], load_contents=True), *step.links[1:])},
    lambda step: {"links": (replace(step.links[0], port="another"), *step.links[1:])},
    lambda step: {"links": (replace(step.links[0], sources=(Source(step=None, port="y"),)), *step.links[1:])},
]


@given(insides(), st.data())
def test_a_change_of_any_step_counts_wherever_it_stands(inside: Inside, data: st.DataObject):
    number = data.draw(st.integers(0, len(inside.plan.steps) - 1))
    change = data.draw(st.sampled_from(CHANGES))
    assert described(with_step(inside, number, **change(inside.plan.steps[number]))) != described(inside)


@given(insides(), st.data())
def test_what_a_step_runs_counts_at_any_depth(inside: Inside, data: st.DataObject):
    step = data.draw(st.sampled_from(inside.plan.steps)).id
    changed = replace(inside, processes={**inside.processes, step: {"tool": "another"}})
    assert described(changed) != described(inside)
    outer = replace(inside, processes={**inside.processes, step: inside})
    outer_changed = replace(inside, processes={**inside.processes, step: changed})
    assert described(outer) != described(outer_changed)


@given(insides())
def test_a_step_that_no_output_comes_from_counts_since_it_may_fail(inside: Inside):
    step = plans.step("check", outputs=())
    plan = replace(inside.plan, steps=(*inside.plan.steps, step))
    more = replace(
        inside,
        plan=plan,
        processes={**inside.processes, step.id: {"tool": "check"}},
        scripts={**inside.scripts, step.id: {}},
    )
    assert described(more) != described(inside)


@given(insides(), st.data())
def test_declarations_and_outputs_count(inside: Inside, data: st.DataObject):
    assert described(replace(inside, declared={})) != described(inside)
    assert described(replace(inside, defaults={"x": 1})) != described(inside)
    port = replace(inside.plan.outputs[0], link=Link(port="o", sources=(Source(step=None, port="x"),)))
    assert described(replace(inside, plan=replace(inside.plan, outputs=(port,)))) != described(inside)


@given(insides())
def test_people_see_which_step_changed(inside: Inside):
    first = inside.plan.steps[0].id
    changed = replace(inside, processes={**inside.processes, first: {"tool": "another"}})
    before, now = (for_people(each, lambda value: value) for each in (inside, changed))
    assert [name for name in before if before[name] != now[name]] == [f"step {first}"]
    outer, outer_now = (
        for_people(replace(inside, processes={**inside.processes, first: each}), lambda value: value)
        for each in (inside, changed)
    )
    assert [name for name in outer if outer[name] != outer_now[name]] == [f"step {first}", f"step {first}.{first}"]
