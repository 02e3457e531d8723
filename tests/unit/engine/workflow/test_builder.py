from pathlib import Path

import pytest
from ruamel.yaml import YAML

from cwl_prefect import Workflow
from cwl_prefect.api import load_plan
from cwl_prefect.errors import DocumentError, UsageError
from cwl_prefect.model.plan import Scatter, ScatterMethod
from cwl_prefect.settings import Settings

TOOL = """
cwlVersion: v1.2
class: CommandLineTool
inputs: {x: {type: string, inputBinding: {}}, y: {type: string?, inputBinding: {}}}
outputs: {o: stdout, p: stderr}
baseCommand: echo
"""


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/say.cwl").write_text(TOOL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def compiled(made: Workflow, tmp_path: Path):
    return load_plan(made, settings=Settings(home=tmp_path / "home"))


SAID = Workflow("said").input("xs", "string[]", doc="What to say.").input("y", "string", default="there")
ALL = SAID.step("say", Path("tools/say.cwl"), inputs={"x": "xs", "y": "y"}, scatter="x").output("o", "say/o", "File[]")


def test_it_is_compiled_as_its_text_would_be(tmp_path):
    plan = compiled(ALL, tmp_path)
    (tmp_path / "said.cwl").write_text(ALL.to_cwl())
    assert plan.digest == load_plan("said.cwl", settings=Settings(home=tmp_path / "home")).digest
    assert [(port.id, port.doc, port.default) for port in plan.inputs] == [
        ("xs", "What to say.", None),
        ("y", None, "there"),
    ]
    assert [step.scatter for step in plan.steps] == [Scatter(ports=("x",), method=ScatterMethod.DOTPRODUCT)]


def test_each_method_returns_a_new_one():
    assert "say" not in YAML(typ="safe").load(SAID.to_cwl())["steps"]
    assert list(YAML(typ="safe").load(ALL.to_cwl())["steps"]) == ["say"]


def test_steps_have_the_outputs_that_are_read(tmp_path):
    made = ALL.step("next", "tools/say.cwl", inputs={"x": {"source": "say/p", "valueFrom": "$(self[0].path)"}})
    written = YAML(typ="safe").load(made.to_cwl())
    assert {name: step["out"] for name, step in written["steps"].items()} == {"say": ["p", "o"], "next": []}
    assert [step.id for step in compiled(made, tmp_path).steps] == ["say", "next"]


def test_a_workflow_can_be_a_step(tmp_path):
    outer = Workflow("outer").input("xs", "string[]").step("inner", ALL, inputs={"xs": "xs"})
    plan = compiled(outer.output("o", "inner/o", "File[]"), tmp_path)
    assert [step.id for step in plan.steps[0].run.steps] == ["say"]


def test_conditions_and_several_sources_need_no_more_words(tmp_path):
    made = (
        Workflow("both")
        .input("x", "string")
        .step("one", "tools/say.cwl", inputs={"x": "x"})
        .step("two", "tools/say.cwl", inputs={"x": "x"}, when="$(inputs.x != '')")
        .output("o", ["one/o", "two/o"], {"type": "array", "items": ["null", "File"]})
    )
    assert compiled(made, tmp_path).steps[1].when == "$(inputs.x != '')"


def test_what_is_wrong_is_told_with_its_place(tmp_path):
    with pytest.raises(DocumentError, match=r"said\.cwl:\d+:\d+.*sya"):
        compiled(ALL.output("p", "sya/p", "File[]"), tmp_path)


@pytest.mark.parametrize("name", ["", "a b", "../a", "-a", "a/b"])
def test_a_name_that_no_file_has_is_refused(name):
    with pytest.raises(UsageError, match="cannot be the name"):
        Workflow(name)


def test_a_name_is_given_once():
    with pytest.raises(UsageError, match="'say' is there already"):
        ALL.step("say", "tools/say.cwl")
