import json
from dataclasses import FrozenInstanceError, fields, replace

import pytest

from cwl_prefect.model.plan import (
    InputPort,
    Link,
    LinkMerge,
    Loop,
    LoopOutput,
    OutputPort,
    PickValue,
    ProcessClass,
    Scatter,
    ScatterMethod,
    Source,
    StepId,
    StepPlan,
    ToolPlan,
    WorkflowPlan,
    decode_plan,
    encode_plan,
)
from cwl_prefect.model.plan_formats import PLAN_FORMAT, PlanFormatError
from tests import plans

LINK = Link(
    port="x",
    sources=(Source(step=None, port="a"), Source(step=StepId("s"), port="b")),
    link_merge=LinkMerge.FLATTENED,
    pick_value=PickValue.FIRST_NON_NULL,
    value_from="$(self)",
    default={"a": [1, 2.5, None, True, "é"]},
    load_contents=True,
    load_listing="deep_listing",
    single=False,
)
TOOL = ToolPlan(
    digest="d",
    name="tool",
    process_class=ProcessClass.COMMAND_LINE_TOOL,
    document={"class": "CommandLineTool", "arguments": [1, "x"]},
    requirements=({"class": "A"},),
    hints=({"class": "B"},),
    cwl_version="v1.2",
    inputs=(InputPort(id="x", type=["null", {"type": "array", "items": "File"}], format=("http://e.org/f",)),),
    outputs=(OutputPort(id="o", type="File"),),
    image="busybox",
)


def step(name: str, run, **more) -> StepPlan:
    return plans.step(name, LINK, run=run, **more)


def workflow(*steps: StepPlan, **more) -> WorkflowPlan:
    return plans.workflow(*steps, digest="w", outputs=(OutputPort(id="r", type="Any", link=LINK),), **more)


WHOLE = workflow(
    step("s", TOOL, scatter=Scatter(ports=("x",), method=ScatterMethod.DOTPRODUCT), when="$(true)"),
    step("t", workflow(step("u", TOOL)), loop=Loop(when="$(true)", links=(LINK,), output=LoopOutput.ALL_ITERATIONS)),
    namespaces=(("a", "b"),),
    ontology=(("a", "b", "c"),),
    origin="main.cwl",
)


def test_json_gives_the_same_plan_back():
    assert decode_plan(encode_plan(WHOLE)) == WHOLE


def test_nested_plans_keep_their_kind():
    found = decode_plan(encode_plan(WHOLE))
    assert isinstance(found.steps[0].run, ToolPlan)
    assert isinstance(found.steps[1].run, WorkflowPlan)


def test_equal_plans_give_equal_bytes():
    assert encode_plan(WHOLE) == encode_plan(replace(WHOLE))


def test_a_plan_begins_by_saying_that_it_is_one():
    assert encode_plan(WHOLE).startswith(b'{"kind":"workflow"')


def test_a_plan_can_be_indented_for_people():
    assert json.loads(encode_plan(WHOLE, indent=2)) == json.loads(encode_plan(WHOLE))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"kind": "workflow"}',
        encode_plan(WHOLE)[:-1],
        encode_plan(WHOLE).replace(b'"digest"', b'"extra":1,"digest"', 1),
        encode_plan(replace(WHOLE, format=PLAN_FORMAT + 1)),
        encode_plan(replace(WHOLE, format=0)),
    ],
    ids=["empty", "no-object", "fields-missing", "cut-off", "unknown-field", "later-format", "no-format"],
)
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic's own is one
        decode_plan(text)


def test_a_plan_of_the_format_before_becomes_one_of_today_with_all_that_is_in_it():
    written = json.loads(encode_plan(WHOLE))
    for plan in (written, written["steps"][1]["run"]):
        del plan["named_files"], plan["places"]
        plan["format"] = PLAN_FORMAT - 1
    assert decode_plan(json.dumps(written)) == WHOLE


def test_a_plan_of_a_later_version_is_told_as_that():
    later = json.loads(encode_plan(WHOLE)) | {"format": PLAN_FORMAT + 1, "new": 1}
    with pytest.raises(PlanFormatError, match=f"has format {PLAN_FORMAT + 1}, and .* reads 1 to {PLAN_FORMAT}"):
        decode_plan(json.dumps(later))


def test_a_plan_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        WHOLE.name = "other"


@pytest.mark.parametrize("kind", [WorkflowPlan, StepPlan, ToolPlan, Link, Source, Scatter, Loop, InputPort, OutputPort])
def test_no_field_can_be_mistaken_for_another_by_its_place(kind):
    assert all(field.kw_only for field in fields(kind))


@pytest.mark.parametrize(
    ("declared", "default", "required"),
    [
        ("string", None, True),
        ("string", "x", False),
        ("string", False, False),
        (["null", "string"], None, False),
        (["int", "string"], None, True),
        ("null", None, False),
        ("Any", None, False),
        ({"type": "array", "items": "null"}, None, True),
    ],
)
def test_an_input_is_required_without_null_or_default(declared, default, required):
    assert InputPort(id="x", type=declared, default=default).required is required
