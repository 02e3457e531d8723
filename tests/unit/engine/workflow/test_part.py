"""Parts of a workflow as workflows of their own."""

import pytest

from cwl_prefect.engine.workflow.part import with_single_step, with_targets
from cwl_prefect.errors import UsageError
from cwl_prefect.model.plan import InputPort, LinkMerge, OutputPort, Scatter, ScatterMethod
from tests.plans import link, step, tool, workflow


def document(*names: str, **said):
    return {"class": "x", "inputs": [{"id": f"a.cwl#{name}", "type": "string", **said} for name in names]}


def inputs(*names: str) -> tuple[InputPort, ...]:
    return tuple(InputPort(id=name, type="string") for name in names)


READS = tool(document=document("x", secondaryFiles=[".bai"]), inputs=inputs("x"))
FLOW = workflow(
    step("first", link("x", "a")),
    step("second", link("x", "first/o"), link("y", "b")),
    step("other", link("x", "c"), outputs=("o", "p")),
    step("last", link("x", "second/o", "other/o")),
    inputs=inputs("a", "b", "c", "d"),
    document=document("a", "b", "c", "d"),
    outputs=(
        OutputPort(id="whole", type="File", link=link("whole", "last/o")),
        OutputPort(id="half", type="File", link=link("half", "second/o")),
        OutputPort(id="side", type="File", link=link("side", "other/p")),
        OutputPort(id="given", type="string", link=link("given", "d")),
    ),
    places={"": {"": "a.cwl:1:1"}, "first": {"": "a.cwl:9:1"}},
)


def shape(plan) -> tuple[list[str], list[str], list[str]]:
    return [s.id for s in plan.steps], [port.id for port in plan.inputs], [port.id for port in plan.outputs]


@pytest.mark.parametrize(
    ("targets", "steps", "given", "outputs"),
    [
        (["half"], ["first", "second"], ["a", "b"], ["half"]),
        (["whole"], ["first", "second", "other", "last"], ["a", "b", "c"], ["whole"]),
        (["given"], [], ["d"], ["given"]),
        (["second"], ["first", "second"], ["a", "b"], ["half"]),
        (["first"], ["first"], ["a"], ["first_o"]),
        (["other"], ["other"], ["c"], ["side", "other_o"]),
        (["half", "other"], ["first", "second", "other"], ["a", "b", "c"], ["half", "side", "other_o"]),
    ],
    ids=["output", "all steps", "input", "step with an output", "inner step", "step with both", "several"],
)
def test_targets_bring_what_they_need_and_no_more(targets, steps, given, outputs):
    part = with_targets(FLOW, targets)
    assert shape(part) == (steps, given, outputs)
    assert [entry["id"] for entry in part.document["inputs"]] == [f"a.cwl#{name}" for name in given]


def test_parts_are_told_apart_by_their_digests():
    parts = [FLOW, with_targets(FLOW, ["half"]), with_targets(FLOW, ["second"]), with_single_step(FLOW, "second")]
    assert len({part.digest for part in parts}) == 4


@pytest.mark.parametrize(
    ("narrow", "name", "hint"),
    [
        (lambda name: with_targets(FLOW, [name]), "secondd", "did you mean 'second'?"),
        (lambda name: with_targets(FLOW, [name]), "zzz", "there are: 'whole', 'half'"),
        (lambda name: with_single_step(FLOW, name), "lst", "did you mean 'last'?"),
    ],
    ids=["near a step", "near nothing", "single step"],
)
def test_what_the_workflow_has_not_is_told_with_what_may_be_meant(narrow, name, hint):
    with pytest.raises(UsageError, match=name) as found:
        narrow(name)
    assert hint in (found.value.hint or "")


def single(*links, path="align", **said):
    flow = workflow(step("align", *links, run=READS, **said), name="flow", requirements=({"class": "R"},))
    return with_single_step(flow, path)


def test_a_single_step_takes_and_gives_what_the_step_does():
    part = single(link("x", "other/o"))
    assert part.steps[0].links == (link("x", "x"),)
    assert part.inputs == (InputPort(id="x", type="string"),)
    assert part.document["inputs"] == [{"secondaryFiles": [".bai"], "id": "#x", "type": "string"}]
    assert part.outputs[0].link == link("o", "align/o")
    assert part.requirements == ({"class": "R"},)


@pytest.mark.parametrize(
    ("taken", "said", "expected"),
    [
        (link("x", "a"), {"scatter": Scatter(ports=("x",), method=ScatterMethod.DOTPRODUCT)}, "array"),
        (link("x", "a", default="d"), {}, ["null", "string"]),
        (link("x", "a", value_from="$(1)"), {}, ["null", "Any"]),
        (link("more", "a"), {}, ["null", "Any"]),
    ],
    ids=["scattered", "with a default", "changed by an expression", "for expressions only"],
)
def test_the_type_of_an_input_is_what_the_step_takes_before_it_is_called(taken, said, expected):
    part = single(taken, **said)
    for declared in (part.inputs[0].type, part.document["inputs"][0]["type"]):
        assert (declared["type"] if isinstance(declared, dict) else declared) == expected


def test_a_value_is_given_after_merging_and_before_its_expression():
    part = single(link("x", "a", "b", link_merge=LinkMerge.FLATTENED, value_from="$(self)", single=False))
    assert part.steps[0].links == (link("x", "x", value_from="$(self)"),)


def test_a_step_of_a_subworkflow_is_named_by_its_path():
    inner = workflow(step("align", link("x", "x"), run=READS), requirements=({"class": "Inner"},))
    flow = workflow(
        step("prepare", link("x", "a"), run=inner), name="flow", places={"prepare.align": {"": "a.cwl:7:1"}}
    )
    part = with_single_step(flow, "prepare.align")
    assert (part.name, shape(part)) == ("flow-prepare.align", (["align"], ["x"], ["o"]))
    assert part.places["align"] == {"": "a.cwl:7:1"}
    assert part.requirements == ({"class": "Inner"},)
