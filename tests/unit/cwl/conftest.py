"""Documents written for one test, and what the compiler makes of them."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from cwl_prefect.cwl.binding.bind import Binder, Bound, Place
from cwl_prefect.cwl.loading.compile import compile_process
from cwl_prefect.cwl.loading.load import load_process
from cwl_prefect.model.plan import ToolPlan, WorkflowPlan

Write = Callable[..., Path]
Compile = Callable[..., WorkflowPlan]
Bind = Callable[..., Bound]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a document and give its path."""

    def write(text: str, name: str = "main.cwl") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), "utf-8")
        return path

    return write


@pytest.fixture
def compiled(write: Write) -> Compile:
    """Compile the text of a document."""

    def compiled(text: str, name: str = "main.cwl", **defaults) -> WorkflowPlan:
        path = str(write(text, name))
        return compile_process(load_process(path, **defaults), origin=path)

    return compiled


@pytest.fixture
def tool(compiled: Compile) -> Callable[..., ToolPlan]:
    """Compile the text of a tool, with `cwlVersion` and `class` left to this fixture."""

    def tool(text: str, *, kind: str = "CommandLineTool", version: str = "v1.2") -> ToolPlan:
        run = compiled(f"cwlVersion: {version}\nclass: {kind}\n{dedent(text)}").steps[0].run
        assert isinstance(run, ToolPlan)
        return run

    return tool


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Directories of a call, made as staging makes them, for a process of this machine."""
    found = Place(
        outdir=tmp_path / "out",
        tmpdir=tmp_path / "tmp",
        stagedir=tmp_path / "stage",
        containers=False,
        search_path="/usr/bin",
    )
    for directory in (found.outdir, found.tmpdir):
        directory.mkdir()
    return found


@pytest.fixture
def bind(tool: Callable[..., ToolPlan], place: Place) -> Bind:
    """Bind one call of a tool given as text."""

    def bind(text: str, inputs: dict | None = None, *, where: Place = place, **about) -> Bound:
        return Binder().bind(tool(text, **about), inputs or {}, where, name="align[3]")

    return bind
