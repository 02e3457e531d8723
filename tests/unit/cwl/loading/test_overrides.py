"""Overridden tools as they are bound: what the document says applies to them as before."""

from pathlib import Path

import pytest

from cwl_prefect.cwl.binding.bind import Binder, Place
from cwl_prefect.cwl.loading.compile import compile_process
from cwl_prefect.cwl.loading.load import load_process
from cwl_prefect.engine.workflow.overrides import override_tool
from cwl_prefect.model.job import BoundCall
from cwl_prefect.model.overrides import ResourcesOverride, ToolOverride
from cwl_prefect.model.plan import ToolPlan

DOCUMENT = """\
cwlVersion: {version}
class: CommandLineTool
requirements:
  DockerRequirement: {{dockerPull: busybox}}
  ResourceRequirement: {{coresMin: 1, coresMax: 1, ramMin: 100}}
  EnvVarRequirement: {{envDef: {{A: "1", B: "$(inputs.b)"}}}}
inputs: {{b: {{type: string, default: from input}}}}
baseCommand: echo
arguments: ["$(runtime.cores)", "$(runtime.ram)"]
outputs: []
"""


def bound(tmp_path: Path, override: ToolOverride, version: str = "v1.2") -> BoundCall:
    path = tmp_path / "tool.cwl"
    path.write_text(DOCUMENT.format(version=version))
    tool = compile_process(load_process(str(path)), origin=str(path)).steps[0].run
    assert isinstance(tool, ToolPlan)
    place = Place(
        outdir=tmp_path / "out", tmpdir=tmp_path / "tmp", stagedir=tmp_path / "in", containers=True, search_path=""
    )
    return Binder().bind(override_tool(tool, override), {"b": "from input"}, place, name="echo").call


def test_the_command_line_sees_overridden_resources(tmp_path: Path) -> None:
    call = bound(tmp_path, ToolOverride(resources=ResourcesOverride(cores=4, ram=2048, gpus=2)))
    assert call.command == ("echo", "4", "2048")
    assert (call.resources.cores, call.resources.ram_mib, call.resources.gpus) == (4, 2048, 2)


def test_the_image_is_the_override_s(tmp_path: Path) -> None:
    call = bound(tmp_path, ToolOverride(image="bwa:2"))
    assert call.image is not None
    assert call.image.name == "bwa:2"


@pytest.mark.parametrize("version", ["v1.0", "v1.1", "v1.2"])
@pytest.mark.parametrize("value", ["2", "$(inputs.b)", "${return 1}", "\\$(x)", "a$b", "\\"])
def test_environment_is_taken_as_it_is_written(tmp_path: Path, value: str, version: str) -> None:
    call = bound(tmp_path, ToolOverride(env={"A": value}), version)
    assert (call.env["A"], call.env["B"]) == (value, "from input")


@pytest.mark.parametrize(
    "requirement",
    [
        {"class": "NetworkAccess", "networkAccess": True},
        {"class": "WorkReuse", "enableReuse": False},
        {"class": "ToolTimeLimit", "timelimit": 3},
        {"class": "InlineJavascriptRequirement"},
    ],
    ids=lambda entry: entry["class"],
)
def test_a_requirement_of_a_job_order_keeps_its_name(tmp_path: Path, requirement: dict[str, object]) -> None:
    path = tmp_path / "tool.cwl"
    path.write_text(DOCUMENT.format(version="v1.2"))
    process = load_process(str(path), defaults={"cwl:requirements": [requirement]})
    assert requirement["class"] in [entry["class"] for entry in process.requirements]
