"""Overrides of tools: what they change, and that they change nothing else."""

from dataclasses import replace
from typing import Any

import pytest

from cwl_prefect.engine.workflow.overrides import CUDA, override_tool, override_tools, tool_steps
from cwl_prefect.model.overrides import ResourcesOverride, ToolOverride
from cwl_prefect.model.plan import ProcessClass, ToolPlan, WorkflowPlan
from tests import plans
from tests.plans import step, tool

TOOL = tool()


def workflow(**steps: ToolPlan | WorkflowPlan) -> WorkflowPlan:
    return plans.workflow(*(step(name, run=run) for name, run in steps.items()))


def docker(**fields: Any) -> dict[str, Any]:
    return {"class": "DockerRequirement", **fields}


def test_only_the_steps_that_fit_are_changed() -> None:
    plan = workflow(sort=TOOL, prepare=workflow(align=TOOL, index=TOOL))

    changed = override_tools(plan, lambda path: ToolOverride(image="x" if path == "prepare.align" else None))

    images = {path: step.run.image for path, step in tool_steps(changed) if isinstance(step.run, ToolPlan)}
    assert images == {"sort": None, "prepare.align": "x", "prepare.index": None}
    assert changed.steps[0] is plan.steps[0]


def test_without_overrides_it_is_the_same_plan() -> None:
    plan = workflow(sort=TOOL, prepare=workflow(align=TOOL))
    assert override_tools(plan, lambda _: ToolOverride()) is plan


@pytest.mark.parametrize("kind", [ProcessClass.EXPRESSION_TOOL, ProcessClass.OPERATION])
def test_what_runs_no_command_is_left_alone(kind: ProcessClass) -> None:
    tool = replace(TOOL, process_class=kind)
    assert override_tool(tool, ToolOverride(image="x")) is tool


def test_different_overrides_make_different_tools() -> None:
    overrides = [ToolOverride(image="a"), ToolOverride(image="b"), ToolOverride(env={"A": "1"}), ToolOverride()]
    assert len({override_tool(TOOL, override).digest for override in overrides}) == len(overrides)


class TestImage:
    def test_a_requirement_stays_one_and_keeps_its_directory(self) -> None:
        tool = replace(TOOL, requirements=(docker(dockerFile="FROM x", dockerOutputDirectory="/out"),))
        found = override_tool(tool, ToolOverride(image="bwa:2"))
        assert found.requirements[-1] == docker(dockerPull="bwa:2", dockerOutputDirectory="/out")
        assert found.image == "bwa:2"

    def test_a_hint_stays_a_hint(self) -> None:
        found = override_tool(replace(TOOL, hints=(docker(dockerPull="old"),)), ToolOverride(image="new"))
        assert (found.requirements, found.hints[-1]) == ((), docker(dockerPull="new"))

    def test_a_tool_without_one_then_requires_it(self) -> None:
        assert override_tool(TOOL, ToolOverride(image="new")).requirements == (docker(dockerPull="new"),)


class TestResources:
    def test_the_others_stay_and_a_limit_below_is_dropped(self) -> None:
        asked = {"class": "ResourceRequirement", "coresMin": 1, "coresMax": 2, "ramMin": 100, "ramMax": "$(1)"}
        found = override_tool(
            replace(TOOL, hints=(asked,)), ToolOverride(resources=ResourcesOverride(cores=8, tmpdir=5))
        )
        assert found.requirements[-1] == {
            "class": "ResourceRequirement",
            "coresMin": 8,
            "ramMin": 100,
            "ramMax": "$(1)",
            "tmpdirMin": 5,
        }

    def test_defaults_are_for_what_the_document_leaves_open_and_what_is_given_wins(self) -> None:
        asked = {"class": "ResourceRequirement", "ramMax": 100}
        defaults = ResourcesOverride(cores=2, ram="4G", gpus=1)
        tool = replace(TOOL, hints=(asked, {"class": CUDA, "cudaDeviceCountMin": 2}))
        found = override_tool(tool, ToolOverride(default_resources=defaults))
        given = override_tool(TOOL, ToolOverride(default_resources=defaults, resources=ResourcesOverride(cores=8)))
        said = override_tool(tool, ToolOverride(default_resources=ResourcesOverride(ram=1)))
        assert found.requirements == ({**asked, "coresMin": 2},)
        assert found.hints == tool.hints
        assert given.requirements[-1] == {"class": "ResourceRequirement", "coresMin": 8, "ramMin": 4096}
        assert (said.requirements, said.hints) == (tool.requirements, tool.hints)

    def test_devices_are_asked_for_or_no_longer(self) -> None:
        asked = {"class": CUDA, "cudaVersionMin": "11.4", "cudaComputeCapability": "8.0", "cudaDeviceCountMin": 1}
        tool = replace(TOOL, hints=(asked,))
        more = override_tool(tool, ToolOverride(resources=ResourcesOverride(gpus=2)))
        none = override_tool(tool, ToolOverride(resources=ResourcesOverride(gpus=0)))
        assert more.hints == ()
        assert more.requirements == ({**asked, "cudaDeviceCountMin": 2, "cudaDeviceCountMax": 2},)
        assert (none.requirements, none.hints) == ((), ())


class TestEnvironment:
    def test_other_variables_stay(self) -> None:
        declared = {
            "class": "EnvVarRequirement",
            "envDef": [{"envName": "A", "envValue": "1"}, {"envName": "B", "envValue": "$(inputs.b)"}],
        }
        found = override_tool(replace(TOOL, requirements=(declared,)), ToolOverride(env={"A": "2", "C": "3"}))
        assert found.requirements[-1]["envDef"] == [
            {"envName": "B", "envValue": "$(inputs.b)"},
            {"envName": "A", "envValue": "2"},
            {"envName": "C", "envValue": "3"},
        ]

    def test_values_are_no_expressions(self) -> None:
        found = override_tool(TOOL, ToolOverride(env={"A": "$(date) ${x} $HOME"}))
        assert found.requirements[-1]["envDef"] == [{"envName": "A", "envValue": "\\$(date) \\${x} $HOME"}]
