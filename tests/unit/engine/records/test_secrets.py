import pytest

from cwl_prefect.cwl.loading.compile import compile_process
from cwl_prefect.cwl.loading.load import load_process
from cwl_prefect.engine.records.secrets import HIDDEN, object_without, secret_inputs, secret_texts, without

DOCUMENT = """
cwlVersion: v1.2
$namespaces: {{cwltool: "http://commonwl.org/cwltool#"}}
$graph:
- id: tool
  class: CommandLineTool
  baseCommand: login
  {tool}
  inputs: {{password: string, user: string}}
  outputs: {{}}
- id: inner
  class: Workflow
  inputs: {{key: string, user: string}}
  outputs: {{}}
  steps:
    login: {{run: '#tool', in: {{password: key, user: user}}, out: []}}
- id: main
  class: Workflow
  {main}
  requirements: {{SubworkflowFeatureRequirement: {{}}}}
  inputs: {{pass: string, user: string}}
  outputs: {{}}
  steps:
    inner: {{run: '#inner', in: {{key: pass, user: user}}, out: []}}
"""


def plan(directory, *, tool="", main=""):
    path = directory / "flow.cwl"
    path.write_text(DOCUMENT.format(tool=tool, main=main))
    return compile_process(load_process(f"{path}#main"), origin=str(path))


@pytest.mark.parametrize(
    "where",
    [
        pytest.param({"tool": "hints: {'cwltool:Secrets': {secrets: [password]}}"}, id="a-tool-two-levels-below"),
        pytest.param({"main": "hints: {'cwltool:Secrets': {secrets: [pass]}}"}, id="the-workflow-itself"),
    ],
)
def test_inputs_that_somebody_calls_secret_are_known(tmp_path, where):
    found = plan(tmp_path, **where)
    assert "pass" in secret_inputs(found)
    assert "user" not in secret_inputs(found)
    assert secret_texts(found, {"pass": "hunter2", "user": "ada"}) == ("hunter2",)


def test_a_document_without_secrets_has_none(tmp_path):
    assert secret_texts(plan(tmp_path), {"pass": "hunter2", "user": "ada"}) == ()


def test_secret_texts_are_taken_from_every_value():
    value = {"a": ["my hunter2!", 7], "hunter2": {"b": None}, "pin": 1234}
    assert without(value, ("hunter2", "1234")) == {
        "a": [f"my {HIDDEN}!", 7],
        HIDDEN: {"b": None},
        "pin": HIDDEN,
    }


def test_the_kind_of_a_secret_file_is_no_secret(tmp_path):
    found = plan(tmp_path, main="hints: {'cwltool:Secrets': {secrets: [pass]}}")
    assert secret_texts(found, {"pass": {"class": "File", "location": "file:///key"}}) == ("file:///key",)


def test_a_secret_input_is_hidden_whatever_its_value_is(tmp_path):
    found = plan(tmp_path, main="hints: {'cwltool:Secrets': {secrets: [pass]}}")
    inputs = {"pass": "x", "user": "ada of hunter2"}
    assert object_without(inputs, found, ("hunter2",)) == {"pass": HIDDEN, "user": f"ada of {HIDDEN}"}
