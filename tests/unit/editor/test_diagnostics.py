"""What is wrong with a document as it is open, beside its lines."""

import pytest

from cwl_prefect.cwl.checking.validate import check_document
from cwl_prefect.editor.diagnostics import diagnostics, findings_in, graph_of
from cwl_prefect.editor.outline import LARGEST_TEXT
from cwl_prefect.errors import DocumentError
from cwl_prefect.settings import Settings
from tests.unit.editor.conftest import TOOL, WORKFLOW


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path / "home")


def shown(path, texts, settings):
    return diagnostics(findings_in(path, texts, settings), path, texts[path])


def test_what_validate_finds_is_shown_at_its_word(project, settings):
    text = TOOL.replace("inputs.message", "inputs.mesage")
    (found,) = shown(project.tool, {project.tool: text}, settings)
    assert (found.code, found.source, found.severity) == ("unknown-reference", "cwl-prefect", 1)
    assert "did you mean 'message'?" in found.message
    assert (found.range.start.line, found.range.start.character) == (12, 12)


def test_findings_are_those_of_validate(project, settings):
    text = WORKFLOW.replace("say/said", "say/sayd").replace("type: string[]", "type: strng[]")
    project.workflow.write_text(text)
    found = findings_in(project.workflow, {project.workflow: text}, settings)
    assert found == check_document(str(project.workflow)).findings
    assert len(found) > 1


def test_what_is_not_saved_counts_also_in_a_document_that_is_referred_to(project, settings):
    texts = {project.workflow: WORKFLOW, project.tool: TOOL.replace("  message:\n", "  mesage:\n")}
    assert [found.check for found in findings_in(project.workflow, texts, settings)] == ["invalid-document"]
    assert findings_in(project.workflow, {project.workflow: WORKFLOW}, settings) == ()


def test_a_document_that_is_not_saved_yet_is_checked(project, settings):
    path = project.workflow.parent / "new.cwl"
    (found,) = shown(path, {path: "class: CommandLineTool\n"}, settings)
    assert "cwlVersion" in found.message


def test_a_fault_of_another_document_is_shown_where_that_is_named(project, settings):
    texts = {project.workflow: WORKFLOW, project.tool: TOOL.replace("baseCommand", "baseComand")}
    (found,) = shown(project.workflow, texts, settings)
    assert (found.range.start.line, found.range.start.character) == (15, 15)
    (related,) = found.related_information or ()
    assert (related.location.uri, related.location.range.start.line) == (project.tool.as_uri(), 3)


def test_columns_are_those_of_an_editor(project, settings):
    text = TOOL.replace("arguments: [$(inputs.message)]", 'arguments: ["𝄞", $(inputs.mesage)]')
    (found,) = shown(project.tool, {project.tool: text}, settings)
    assert found.range.start.character == 18  # the clef is two units of UTF-16


def test_nothing_is_fetched(project, settings, monkeypatch):
    def never(*arguments, **options):
        raise AssertionError

    monkeypatch.setattr("requests.sessions.Session.send", never)
    text = WORKFLOW.replace("tools/say.cwl", "https://example.org/say.cwl")
    (found,) = shown(project.workflow, {project.workflow: text}, settings)
    assert (found.code, found.severity, found.range.start.line) == ("not-fetched", 2, 15)


def test_expressions_are_not_evaluated(project, settings, monkeypatch):
    asked = []
    monkeypatch.setattr("cwl_prefect.cwl.javascript.engine.QuickJSEngine.eval", lambda _self, text: asked.append(text))
    text = TOOL.replace("$(inputs.message)", "'${ while (true) {} }'")
    findings_in(
        project.tool,
        {project.tool: text.replace("label: ", "requirements: {InlineJavascriptRequirement: {}}\nlabel: ")},
        settings,
    )
    assert asked == ["{return true; (function(){ while (true) {} });}"]


def test_a_large_document_is_left_alone(project, settings):
    texts = {project.tool: TOOL + "#" * LARGEST_TEXT}
    (found,) = findings_in(project.tool, texts, settings)
    assert found.check == "too-large"
    with pytest.raises(DocumentError, match="too large"):
        graph_of(project.tool, texts)


def test_the_graph_is_that_of_the_open_text(project):
    text = WORKFLOW.replace("  say:", "  shout:").replace("say/said", "shout/said")
    assert ">shout<" in graph_of(project.workflow, {project.workflow: text})
