import logging

import pytest

from cwl_prefect.cwl.loading.compile import compile_process
from cwl_prefect.cwl.loading.load import load_process
from cwl_prefect.cwl.loading.undeclared import SEVERAL_SOURCES, VALUE_FROM, undeclared_features
from cwl_prefect.errors import DocumentError

TOOL = """
cwlVersion: v1.2
class: CommandLineTool
baseCommand: cat
inputs:
  files: File[]
  name: string?
outputs:
  o: stdout
"""

WORKFLOW = """
cwlVersion: v1.2
class: Workflow
requirements: []
inputs:
  a: File
  b: File
outputs:
  r:
    type: File
    outputSource: join/o
steps:
  join:
    run: tool.cwl
    in:
      files:
        source: [a, b]
      name:
        valueFrom: constant
    out: [o]
"""

OUTER = """
cwlVersion: v1.2
class: Workflow
requirements: [{class: SubworkflowFeatureRequirement}]
inputs: {a: File}
outputs: {}
steps:
  one: {run: inner.cwl, in: {a: a, b: a}, out: []}
  two: {run: inner.cwl, in: {a: a, b: a}, out: []}
"""


@pytest.fixture
def tool(write, tmp_path, monkeypatch):
    """The tool that the workflows run; the current directory is its own."""
    monkeypatch.chdir(tmp_path)
    write(TOOL, "tool.cwl")


def require(*features: str) -> str:
    """Write the workflow with requirements."""
    return WORKFLOW.replace("requirements: []", f"requirements: [{', '.join(f'{{class: {f}}}' for f in features)}]")


def test_each_feature_is_told_with_its_first_place(tool, write):
    write(WORKFLOW)
    several, value_from = undeclared_features(load_process("main.cwl"))
    assert str(several).startswith("main.cwl:17:9: files has several sources, but")
    assert SEVERAL_SOURCES in several.message
    assert str(value_from).startswith("main.cwl:19:9: name has a valueFrom, but")
    assert VALUE_FROM in value_from.message


@pytest.mark.parametrize("feature", [SEVERAL_SOURCES, VALUE_FROM])
def test_what_is_required_is_not_told(tool, write, feature):
    write(require(feature))
    (told,) = undeclared_features(load_process("main.cwl"))
    assert feature not in told.message


def test_what_an_outer_workflow_requires_holds_for_inner_ones(tool, write):
    write(WORKFLOW, "inner.cwl")
    both = f"[{{class: {SEVERAL_SOURCES}}}, {{class: {VALUE_FROM}}}, "
    write(OUTER.replace("requirements: [", f"requirements: {both}"))
    assert undeclared_features(load_process("main.cwl")) == ()


def test_an_inner_workflow_that_is_run_twice_is_told_once(tool, write):
    write(WORKFLOW, "inner.cwl")
    write(OUTER)
    assert len(undeclared_features(load_process("main.cwl"))) == 2


def test_a_tool_has_nothing_to_tell(tool):
    assert undeclared_features(load_process("tool.cwl")) == ()


def test_the_plan_is_what_it_is_with_the_features_required(tool, write, caplog):
    write(WORKFLOW)
    with caplog.at_level(logging.WARNING, "cwl_prefect"):
        plan = compile_process(load_process("main.cwl"), origin="main.cwl")
    assert len(caplog.messages) == 2
    write(require(SEVERAL_SOURCES, VALUE_FROM))
    assert plan.steps[0].links == compile_process(load_process("main.cwl"), origin="main.cwl").steps[0].links


LOOP = """
cwlVersion: v1.3.0-dev1
class: Workflow
requirements: {InlineJavascriptRequirement: {}}
inputs: {a: int, b: int}
outputs: []
steps:
  again:
    run:
      class: ExpressionTool
      inputs: {a: int, b: int}
      outputs: {c: int}
      expression: "${return {c: inputs.a + inputs.b};}"
    in: {a: a, b: b}
    out: [c]
    when: $(inputs.a < 10)
    loop:
      a:
        LINK
"""


@pytest.mark.parametrize(
    ("link", "what"),
    [
        pytest.param("valueFrom: $(inputs.a + 1)", f"a valueFrom, but {VALUE_FROM}", id="valueFrom"),
        pytest.param(
            "{outputSource: [c, c], pickValue: first_non_null}",
            f"several sources, but {SEVERAL_SOURCES}",
            id="several-sources",
        ),
    ],
)
@pytest.mark.parametrize("required", [True, False], ids=["required", "not-required"])
def test_a_loop_does_nothing_that_is_not_required(write, tmp_path, monkeypatch, link, what, required):
    monkeypatch.chdir(tmp_path)
    both = f"{SEVERAL_SOURCES}: {{}}, {VALUE_FROM}: {{}}"
    write(
        LOOP.replace("LINK", link).replace(
            "Requirement: {}", f"Requirement: {{}}, {both}" if required else "Requirement: {}"
        )
    )
    process = load_process("main.cwl")
    if required:
        assert undeclared_features(process) == ()
        return
    with pytest.raises(DocumentError, match=f"main.cwl:19:[0-9]+: the loop gives a {what} is not required"):
        undeclared_features(process)
