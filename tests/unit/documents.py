"""Documents given as text. Plans are frozen, so each text is compiled once in a process of tests."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent

from cwl_prefect.cwl.loading.compile import compile_process
from cwl_prefect.cwl.loading.load import load_process
from cwl_prefect.model.plan import ToolPlan, WorkflowPlan


@cache
def plan_of(text: str, *, name: str = "flow.cwl") -> WorkflowPlan:
    """Compile the text of a document; it lies nowhere afterwards."""
    with TemporaryDirectory() as directory:
        path = Path(directory, name)
        path.write_text(dedent(text))
        return compile_process(load_process(str(path)), origin=str(path))


def tool_of(text: str, *, name: str = "tool.cwl") -> ToolPlan:
    """Compile the text of a tool."""
    found = plan_of(text, name=name).steps[0].run
    assert isinstance(found, ToolPlan)
    return found
