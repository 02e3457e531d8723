"""What calls share beyond their machine, such as licences: how many slots of which limit a call occupies."""

import json
from collections.abc import Mapping
from dataclasses import replace

from pydantic import JsonValue

from cwl_prefect.errors import DocumentError
from cwl_prefect.model.plan import ToolPlan, requirement

CONCURRENCY = "https://cwl-prefect.io/ns#Concurrency"
"""Class of the hint, whose field ``limits`` says how many slots of which limits a call occupies."""


def slots_of(tool: ToolPlan, step: str) -> dict[str, int]:
    """Return how many slots a call occupies, by the name of their limit, as its tool's or its step's hint says.

    Raises:
        DocumentError: The hint says something else.
    """
    found = requirement(tool.requirements, tool.hints, CONCURRENCY)
    if found is None:
        return {}
    limits = found.get("limits")
    if not isinstance(limits, Mapping) or not all(map(_is_count, limits.values())):
        raise DocumentError(
            f"{step}: the Concurrency hint has {json.dumps(limits)} as its limits.",
            hint="map names of limits to whole numbers: limits: {licences: 1}.",
        )
    return {name: count for name, count in sorted(limits.items()) if isinstance(count, int) and count}


def with_slots(tool: ToolPlan, slots: Mapping[str, int]) -> ToolPlan:
    """Return a tool whose calls occupy other slots than its hint says; none of a limit that is given as 0."""
    limits: dict[str, JsonValue] = {**slots_of(tool, tool.name), **slots}
    return replace(tool, hints=(*tool.hints, {"class": CONCURRENCY, "limits": limits}))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
