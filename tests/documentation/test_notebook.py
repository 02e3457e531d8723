"""Workflows run in the cells of a notebook, by a real kernel, as the page on Python says."""

import nbformat
import pytest
from nbclient import NotebookClient

from tests.commands import PROJECT, command_environment

CELLS = (
    'from cwl_prefect import load_flow, run, run_sync\ndocument = "hello.cwl"',
    'await run(document, {"message": "awaited"})',
    'run_sync(document, {"message": "at once"})',
    'flow = load_flow(document)\n(await flow(message="a flow"))["greeting"]["basename"]',
    'flow.run_sync(message="a flow at once")["greeting"]["basename"]',
)


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """Run the cells."""
    home = tmp_path_factory.mktemp("home")
    (home / "hello.cwl").write_text((PROJECT / "examples/cwl/hello/hello.cwl").read_text())
    found = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    for environment in command_environment(home):
        client = NotebookClient(found, timeout=180, kernel_name="python3", resources={"metadata": {"path": str(home)}})
        client.execute(env={**environment, "PYTHONPATH": str(PROJECT)})
        yield found


def shown(cell, kind):
    """Return what a cell shows of a kind, at its end or in between."""
    return [output["data"][kind] for output in cell["outputs"] if kind in output.get("data", {})]


@pytest.mark.parametrize("number", [1, 2], ids=["awaited", "at once"])
def test_a_run_shows_its_progress_and_then_what_it_gave(notebook, number):
    *progress, result = shown(notebook.cells[number], "text/html")
    (table,) = (html for html in progress if "<table>" in html)  # the others are lines of Prefect's log
    assert " succeeded</a></p><table>" in table
    assert "<td>1/1</td>" in table
    assert "run completed" in result.lower()
    assert "greeting" in result


@pytest.mark.parametrize("number", [3, 4], ids=["awaited", "at once"])
def test_a_flow_gives_its_outputs(notebook, number):
    assert shown(notebook.cells[number], "text/plain")[-1] == "'greeting.txt'"


def test_no_cell_ends_in_an_error(notebook):
    assert not [output for cell in notebook.cells for output in cell["outputs"] if output["output_type"] == "error"]
