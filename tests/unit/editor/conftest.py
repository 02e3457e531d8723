"""A workflow and a tool beside it, as somebody writes them."""

from pathlib import Path

import pytest

from cwl_prefect.editor.outline import parsed, spot_at
from cwl_prefect.editor.references import Place, place_in_process

TOOL = """cwlVersion: v1.2
class: CommandLineTool
label: Say something
baseCommand: echo
inputs:
  message:
    type: string
    doc: What to say.
    inputBinding: {}
  loud: boolean?
outputs:
  said: stdout
arguments: [$(inputs.message)]
"""
WORKFLOW = """cwlVersion: v1.2
class: Workflow
requirements:
  ScatterFeatureRequirement: {}
inputs:
  text:
    type: string[]
    doc: [All that, is said.]
  shouted: boolean?
outputs:
  words:
    type: File[]
    outputSource: say/said
steps:
  say:
    run: tools/say.cwl
    scatter: message
    when: $(inputs.loud)
    in:
      message: text
      loud: {source: shouted}
    out: [said]
"""


class Project:
    """A directory with both, and a view on positions in them."""

    def __init__(self, directory: Path) -> None:
        self.workflow, self.tool = directory / "main.cwl", directory / "tools" / "say.cwl"
        self.tool.parent.mkdir()
        self.workflow.write_text(WORKFLOW)
        self.tool.write_text(TOOL)

    def place(self, marked: str, path: Path | None = None) -> Place:
        """Return the place of the bar in a line of the workflow or the tool."""
        path = path or self.workflow
        text = path.read_text()
        line, column = position(text, marked)
        root = parsed(text)
        found = place_in_process(root, spot_at(root, line, column), path)
        assert found is not None
        return found


def position(text: str, marked: str) -> tuple[int, int]:
    """Return line and column of the bar in a line of a text."""
    before, _, after = marked.partition("|")
    lines = text.splitlines()
    number = next(number for number, line in enumerate(lines) if before + after in line)
    return number, lines[number].index(before + after) + len(before)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)
