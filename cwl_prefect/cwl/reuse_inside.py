"""What of a subworkflow can change its outputs beside the calls inside it, and what makes them differ each time.

The rules are those of ``docs/reference/cache-key.md``.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from cwl_prefect.cwl.reuse import declarations, effective_requirements, expressions, relevant_requirements
from cwl_prefect.model.cache import ToolIdentity
from cwl_prefect.model.plan import Link, ProcessClass, StepPlan, ToolPlan, WorkflowPlan
from cwl_prefect.model.values import CwlObject

_OF_INPUTS = frozenset({"InlineJavascriptRequirement", "LoadListingRequirement", "SchemaDefRequirement"})

# What differs from run to run: where files lie, which a step's tool sees only after staging, the time, and chance. The
# last three names give all that an object holds.
_VARYING = re.compile(r"\b(location|path|dirname|Date|random|stringify|values|entries)\b")


def declared_inputs(plan: WorkflowPlan, ontology: Iterable[tuple[str, ...]]) -> CwlObject:
    """Give what counts of a subworkflow's input declarations, which fill defaults and check values."""
    texts = " ".join(expressions(plan.document))
    requirements = relevant_requirements(effective_requirements(plan), texts)
    found: CwlObject = {
        "cwl": plan.cwl_version,
        "inputs": declarations(plan.document, "input"),
        "requirements": {name: entry for name, entry in requirements.items() if name in _OF_INPUTS},
    }
    if any(port.format for port in plan.inputs):
        found["ontology"] = [list(triple) for triple in ontology]
    return found


def default_inputs(plan: WorkflowPlan) -> CwlObject:
    """Give the values of inputs that are not given, by port."""
    return {port.id: port.default for port in plan.inputs if port.default is not None}


def step_script(step: StepPlan) -> CwlObject:
    """Give what counts of the requirements of a step's own expressions."""
    texts = " ".join(_step_expressions(step))
    found = relevant_requirements(effective_requirements(step), texts)
    return {name: entry for name, entry in found.items() if name == "InlineJavascriptRequirement"}


def varying_tool(tool: ToolPlan, identity: ToolIdentity) -> str | None:
    """Say why equal inputs may give different outputs of a tool inside a subworkflow, or give None."""
    if identity.obstacle is not None:
        return identity.obstacle
    if identity.reuse is not True:
        return "its WorkReuse may say so"
    if tool.process_class is ProcessClass.COMMAND_LINE_TOOL:
        named = "location" in identity.visible
        return "its expressions look at where files lie, which differs from run to run" if named else None
    if tool.process_class is ProcessClass.OPERATION:
        return "it is an Operation"
    return _varying([tool.document, list(identity.requirements.values())])


def varying_step(step: StepPlan) -> str | None:
    """Say why the own expressions of a step may give different values each time, or give None."""
    return _varying([*_step_expressions(step), step_script(step)])


def varying_inputs(plan: WorkflowPlan) -> str | None:
    """Say why the input declarations of a subworkflow may give different values each time, or give None."""
    return _varying(plan.document)


def _varying(holder: Any) -> str | None:
    named = _VARYING.search(" ".join(expressions(holder)))
    return None if named is None else f"an expression names `{named[1]}`, which may differ from run to run"


def _step_expressions(step: StepPlan) -> Iterator[str]:
    links: tuple[Link, ...] = (*step.links, *(step.loop.links if step.loop is not None else ()))
    yield from expressions([link.value_from for link in links])
    yield from expressions([step.when, None if step.loop is None else step.loop.when])
