"""A call that ran, bound and staged once more."""

from dataclasses import replace
from pathlib import Path

import pytest

from cwl_prefect.api import load_plan
from cwl_prefect.errors import CwlPrefectError, UnsupportedError
from cwl_prefect.flows.explain.recorded import PastCall, script_of, stage_again
from cwl_prefect.model.plan import ToolPlan
from cwl_prefect.settings import Settings

TOOL = """\
cwlVersion: v1.2
class: CommandLineTool
hints: {DockerRequirement: {dockerPull: "bwa:1"}}
requirements: {InitialWorkDirRequirement: {listing: [{entryname: note, entry: "n"}]}}
baseCommand: [cat]
inputs: {f: {type: File, inputBinding: {}}}
outputs: {o: stdout}
stdout: out.txt
"""
EXPRESSION = "cwlVersion: v1.2\nclass: ExpressionTool\ninputs: []\noutputs: []\nexpression: '${return {};}'\n"
requires_javascript = "requirements: {InlineJavascriptRequirement: {}}\n"


def past(directory: Path, text: str = TOOL, *, contained: bool = False) -> PastCall:
    (directory / "align.cwl").write_text(text)
    (directory / "reads").write_text("acgt")
    plan = load_plan(directory / "align.cwl", settings=Settings(home=directory / "home"))
    tool = plan.steps[0].run
    assert isinstance(tool, ToolPlan)
    given = {"f": {"class": "File", "location": (directory / "reads").as_uri()}}
    return PastCall(run_id="run-1", plan=plan, tool=tool, name="align[3]", inputs=given, contained=contained)


async def test_a_script_has_the_paths_that_the_call_had_and_nothing_is_staged(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    text = await script_of(past(tmp_path), settings)
    assert f"cd {tmp_path}/home/runs/run-1/align/3/out || exit" in text
    assert "reads </dev/null >out.txt" in text
    assert not (tmp_path / "home/runs/run-1").exists()


async def test_a_container_is_told_with_its_own_paths(tmp_path: Path) -> None:
    text = await script_of(past(tmp_path, contained=True), Settings(home=tmp_path / "home"))
    assert "image bwa:1" in text
    assert str(tmp_path / "home") not in text


async def test_files_are_staged_in_a_directory_of_their_own(tmp_path: Path) -> None:
    staged = await stage_again(past(tmp_path), Settings(home=tmp_path / "home"), tmp_path / "again")
    assert staged.script.is_relative_to(tmp_path / "again")
    assert Path(staged.job.command[1]).read_text() == "acgt"
    assert (Path(staged.job.workdir) / "note").read_text() == "n"
    assert (staged.stdout, staged.stderr) == (Path(staged.job.workdir) / "out.txt", None)


async def test_an_input_that_is_gone_is_told(tmp_path: Path) -> None:
    found = past(tmp_path)
    (tmp_path / "reads").unlink()
    with pytest.raises(CwlPrefectError, match="reads"):
        await stage_again(found, Settings(home=tmp_path / "home"), tmp_path / "again")


async def test_what_a_step_made_is_told_to_have_gone_with_the_workspaces(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    made = tmp_path / "home/runs/run-1/prepare/call/out/reads"
    found = replace(past(tmp_path), inputs={"f": {"class": "File", "location": made.as_uri()}})
    with pytest.raises(CwlPrefectError) as error:
        await script_of(found, settings)
    assert "--keep always" in str(error.value)


async def test_what_ran_no_command_is_told(tmp_path: Path) -> None:
    found = replace(past(tmp_path, EXPRESSION + requires_javascript), inputs={})
    with pytest.raises(UnsupportedError, match="ran no command"):
        await script_of(found, Settings(home=tmp_path / "home"))
