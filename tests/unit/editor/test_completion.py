"""What may be written at a position, also in a line that is no YAML yet."""

import pytest

from cwl_prefect.editor.completion import suggestions
from tests.unit.editor.conftest import TOOL, WORKFLOW, position


def written(project, text: str, marked: str, path=None) -> list[str]:
    line, column = position(text, marked)
    found = suggestions(text, line, column, path or project.workflow, {})
    return [each.written for each in found]


@pytest.mark.parametrize(
    ("old", "new", "marked", "expected"),
    [
        ("      loud: {source: shouted}", "      lo", "      lo|", ["loud"]),
        ("      message: text", "      message: ", "      message: |", ["text", "shouted", "say/said"]),
        ("{source: shouted}", "\n        source: tex", "        source: tex|", ["text", "shouted", "say/said"]),
        ("outputSource: say/said", "outputSource: sa", "outputSource: sa|", ["text", "shouted", "say/said"]),
        ("out: [said]", "out: [s", "out: [s|", ["said"]),
        ("out: [said]", "out:\n      - s", "      - s|", ["said"]),
        ("scatter: message", "scatter: m", "scatter: m|", ["message", "loud"]),
        ("$(inputs.loud)", "$(inputs.", "$(inputs.|", ["message", "loud"]),
    ],
    ids=["port", "source", "source-field", "output-source", "out", "out-item", "scatter", "expression"],
)
def test_ports_and_sources(project, old, new, marked, expected):
    assert written(project, WORKFLOW.replace(old, new), marked) == expected


@pytest.mark.parametrize(
    ("text", "marked", "expected"),
    [
        (TOOL.replace("label: Say something", "lab"), "lab|", "label"),
        (TOOL.replace("    doc: What to say.", "    for"), "    for|", "format"),
        (TOOL.replace("  loud: boolean?", "  loud: boo"), "  loud: boo|", "boolean"),
        (TOOL.replace("class: CommandLineTool", "class: Com"), "class: Com|", "CommandLineTool"),
        (TOOL + "hints:\n  Dock\n", "  Dock|", "DockerRequirement"),
        (TOOL + "hints:\n  - class: Dock\n", "  - class: Dock|", "DockerRequirement"),
        (TOOL + "hints:\n  DockerRequirement:\n    dock\n", "    dock|", "dockerPull"),
        (TOOL.replace("inputs.message", "runtime.co"), "runtime.co|", "cores"),
        (WORKFLOW.replace("    scatter: message", "    scatterMethod: d"), "scatterMethod: d|", "dotproduct"),
        ("cwlVersion: v1.2\ncl", "cl|", "class"),
    ],
    ids=range(10),
)
def test_fields_classes_types_and_values(project, text, marked, expected):
    assert expected in written(project, text, marked, project.tool)


def test_fields_that_are_there_are_not_offered(project):
    assert "baseCommand" not in written(project, TOOL.replace("label: Say something", "lab"), "lab|")


def test_nothing_is_offered_in_a_comment_or_past_the_end(project):
    assert written(project, TOOL + "# what (comes)\n", "# what (co|") == []
    assert suggestions(TOOL, 1000, 0, project.tool, {}) == []
