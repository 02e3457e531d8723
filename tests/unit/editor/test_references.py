"""What positions refer to, and what is told of it."""

import pytest

from cwl_prefect.editor.hover import told_of, told_of_word
from cwl_prefect.editor.references import sources, target_at


@pytest.mark.parametrize(
    ("marked", "word", "document", "line", "kind"),
    [
        ("    run: tools|/say.cwl", "tools/say.cwl", "say.cwl", 0, "process"),
        ("  s|ay:", "say", "say.cwl", 0, "process"),
        ("      mess|age: text", "message", "say.cwl", 5, "input"),
        ("      message: |text", "text", "main.cwl", 5, "input"),
        ("{source: shou|ted}", "shouted", "main.cwl", 8, "input"),
        ("outputSource: say|/said", "say/said", "say.cwl", 11, "output"),
        ("    out: [sa|id]", "said", "say.cwl", 11, "output"),
        ("    scatter: mess|age", "message", "main.cwl", 19, "input of the step"),
        ("    when: $(inputs.lo|ud)", "inputs.loud", "main.cwl", 20, "input of the step"),
    ],
)
def test_a_workflow_refers_to_ports_steps_and_tools(project, marked, word, document, line, kind):
    target = target_at(project.place(marked), word, {})
    assert target is not None
    assert (target.path.name, target.node.start_mark.line, target.kind) == (document, line, kind)


def test_an_expression_of_a_tool_refers_to_its_input(project):
    target = target_at(project.place("[$(inputs.mes|sage)]", project.tool), "inputs.message", {})
    assert target is not None
    assert target.node.start_mark.line == 5


def test_what_is_not_saved_counts(project):
    unsaved = {project.tool: "# one line more\n" + project.tool.read_text()}
    target = target_at(project.place("      mess|age: text"), "message", unsaved)
    assert target is not None
    assert target.node.start_mark.line == 6


@pytest.mark.parametrize("run", ["http://localhost:9/tool.cwl", "nowhere.cwl", "tools", "/dev/zero"])
def test_what_is_no_file_beside_is_not_opened(project, run):
    project.workflow.write_text(project.workflow.read_text().replace("tools/say.cwl", run))
    assert target_at(project.place("      mess|age: text"), "message", {}) is None


def test_sources_of_links(project):
    place = project.place("cl|ass: Workflow")
    assert sources(place.process) == {"text": "input", "shouted": "input", "say/said": "output of a step"}


def told(project, marked: str, word: str = "", path=None) -> str:
    place = project.place(marked, path)
    target = target_at(place, word, {})
    return (told_of_word(place) if target is None else told_of(target)) or ""


def test_a_port_is_told_with_type_and_documentation(project):
    assert told(project, "      mess|age: text") == "**message**: `string` (input)\n\nWhat to say."
    assert told(project, "      message: |text") == "**text**: `string[]` (input)\n\nAll that\nis said."


def test_a_tool_is_told_with_its_ports(project):
    text = told(project, "    run: tools|/say.cwl")
    assert text.startswith("**say.cwl** (CommandLineTool)\n\nSay something\n\n- input **message**: `string`")
    assert "- output **said**: `stdout`" in text


@pytest.mark.parametrize(
    ("marked", "said"),
    [
        ("base|Command: echo", "program to execute"),
        ("class: Command|LineTool", "Command Line Tool"),
        ("    input|Binding: {}", "command line"),
    ],
)
def test_fields_and_classes_are_told_as_the_specification_does(project, marked, said):
    assert said in told(project, marked, path=project.tool)


def test_a_requirement_is_told(project):
    assert "scatter" in told(project, "  Scatter|FeatureRequirement")
