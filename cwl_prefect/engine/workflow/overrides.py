"""Change what single steps ask for, as if their document said so; nothing else of the plan changes."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from pydantic import JsonValue

from cwl_prefect.engine.scheduling.shared_limits import with_slots
from cwl_prefect.model.overrides import ResourcesOverride, ToolOverride
from cwl_prefect.model.plan import ProcessClass, StepPlan, ToolPlan, WorkflowPlan, requirement

CUDA = "http://commonwl.org/cwltool#CUDARequirement"
_IMAGE_SOURCES = ("dockerPull", "dockerLoad", "dockerFile", "dockerImport", "dockerImageId")

Requirement = dict[str, JsonValue]


def tool_steps(plan: WorkflowPlan, path: str = "") -> Iterator[tuple[str, StepPlan]]:
    """Yield every step that runs a tool with its path, as ``prepare.align``; also those of subworkflows."""
    for step in plan.steps:
        name = f"{path}{step.id}"
        if isinstance(step.run, WorkflowPlan):
            yield from tool_steps(step.run, f"{name}.")
        else:
            yield name, step


def override_tools(plan: WorkflowPlan, override_of: Callable[[str], ToolOverride], *, path: str = "") -> WorkflowPlan:
    """Return a plan whose tools ask for what their overrides say.

    Args:
        plan: What is to run.
        override_of: Gives the override of a step by its path.
        path: Prefix of the names of its steps.
    """
    steps = []
    for step in plan.steps:
        name = f"{path}{step.id}"
        if isinstance(step.run, WorkflowPlan):
            run: WorkflowPlan | ToolPlan = override_tools(step.run, override_of, path=f"{name}.")
        else:
            run = override_tool(step.run, override_of(name))
        steps.append(step if run is step.run else replace(step, run=run))
    return (
        plan
        if all(new is old for new, old in zip(steps, plan.steps, strict=True))
        else replace(plan, steps=tuple(steps))
    )


def override_tool(tool: ToolPlan, override: ToolOverride) -> ToolPlan:
    """Return a tool whose requirements are what an override says; the tool itself where it says nothing.

    Everything else that its requirements say stays: other resources, other variables, the directory of outputs. A tool
    that only hints at an image goes on doing so.
    """
    if tool.process_class is not ProcessClass.COMMAND_LINE_TOOL or override == ToolOverride():
        return tool
    changed = tool
    if override.image is not None:
        changed = _with_image(changed, override.image)
    changed = _with_resources(changed, _unsaid(tool, override.default_resources))
    changed = _with_resources(changed, override.resources)
    if override.env:
        changed = _with_environment(changed, override.env)
    if override.concurrency:
        changed = with_slots(changed, override.concurrency)
    text = json.dumps([tool.digest, override.model_dump(mode="json")], sort_keys=True)
    return replace(changed, digest=hashlib.sha256(text.encode()).hexdigest())


def _with_image(tool: ToolPlan, image: str) -> ToolPlan:
    name = "DockerRequirement"
    found = _effective(tool, name)
    kept = {key: value for key, value in found.items() if key not in _IMAGE_SOURCES}
    entry: Requirement = {**kept, "class": name, "dockerPull": image}
    if found and requirement(tool.requirements, (), name) is None:
        return replace(tool, hints=(*tool.hints, entry), image=image)
    return replace(tool, requirements=(*tool.requirements, entry), image=image)


def _unsaid(tool: ToolPlan, resources: ResourcesOverride) -> ResourcesOverride:
    """Return those resources of which a tool says nothing."""
    said = {name.removesuffix("Min").removesuffix("Max") for name in _effective(tool, "ResourceRequirement")}
    said |= {"gpus"} if _effective(tool, CUDA) else set()
    return resources.model_copy(update=dict.fromkeys(said & set(ResourcesOverride.model_fields)))


def _with_resources(tool: ToolPlan, resources: ResourcesOverride) -> ToolPlan:
    asked = resources.model_dump(exclude_none=True)
    gpus = asked.pop("gpus", None)
    if asked:
        found = _effective(tool, "ResourceRequirement")
        kept = {key: value for key, value in found.items() if key not in {f"{name}Max" for name in asked}}
        entry: Requirement = {**kept, "class": "ResourceRequirement", **{f"{name}Min": n for name, n in asked.items()}}
        tool = replace(tool, requirements=(*tool.requirements, entry))
    return tool if gpus is None else _with_gpus(tool, gpus)


def _with_gpus(tool: ToolPlan, gpus: int) -> ToolPlan:
    found = _effective(tool, CUDA)
    without = replace(
        tool,
        requirements=tuple(entry for entry in tool.requirements if entry["class"] != CUDA),
        hints=tuple(entry for entry in tool.hints if entry["class"] != CUDA),
    )
    if gpus == 0:
        return without
    least: Requirement = {"cudaVersionMin": "1.0", "cudaComputeCapability": "1.0"}
    entry = {**least, **found, "class": CUDA, "cudaDeviceCountMin": gpus, "cudaDeviceCountMax": gpus}
    return replace(without, requirements=(*without.requirements, entry))


def _with_environment(tool: ToolPlan, environment: Mapping[str, str]) -> ToolPlan:
    found = _effective(tool, "EnvVarRequirement").get("envDef")
    declared = [entry for entry in (found if isinstance(found, list) else []) if isinstance(entry, dict)]
    kept = [entry for entry in declared if entry.get("envName") not in environment]
    own: list[JsonValue] = [{"envName": name, "envValue": _literal(value)} for name, value in environment.items()]
    entry: Requirement = {"class": "EnvVarRequirement", "envDef": [*kept, *own]}
    return replace(tool, requirements=(*tool.requirements, entry))


def _literal(value: str) -> str:
    """Write a text so that it is no expression (CWL CommandLineTool v1.2, §Expressions)."""
    return value.replace("\\$", "\\\\$").replace("$(", "\\$(").replace("${", "\\${")


def _effective(tool: ToolPlan, name: str) -> Mapping[str, JsonValue]:
    return requirement(tool.requirements, tool.hints, name) or {}
