"""How urgent the calls of a step are."""

import json
from collections.abc import Collection, Mapping

from cwl_prefect.engine.scheduling.fair_queue import Rank
from cwl_prefect.errors import DocumentError
from cwl_prefect.model.callbacks import matches
from cwl_prefect.model.names import without_indices
from cwl_prefect.model.plan import ToolPlan, requirement

PRIORITY = "https://cwl-prefect.io/ns#Priority"
"""Class of the hint, whose field ``priority`` is a whole number."""


class Priorities:
    """Gives calls their rank: by the settings' patterns, else by the tool's or step's hint, else 0.

    Args:
        patterns: Priority by pattern of step names; of several that fit, the last counts.
    """

    def __init__(self, patterns: Mapping[str, int]) -> None:
        self._patterns = patterns
        self._known: dict[tuple[str, str], Rank] = {}

    def rank(self, step: str, tool: ToolPlan) -> Rank:
        """Return the rank of a step's calls; those of a step in different elements of a scatter are one step's.

        Raises:
            DocumentError: The hint holds no whole number.
        """
        name = without_indices(step)
        found = self._known.get((name, tool.digest))
        if found is None:
            found = self._known[name, tool.digest] = Rank(step=name, priority=self._priority(name, tool))
        return found

    def unused(self, steps: Collection[str]) -> list[str]:
        """Return the patterns that fit none of a workflow's steps, which are given by their paths."""
        return [pattern for pattern in self._patterns if not any(matches(pattern, step) for step in steps)]

    def _priority(self, name: str, tool: ToolPlan) -> int:
        fitting = [priority for pattern, priority in self._patterns.items() if matches(pattern, name)]
        return fitting[-1] if fitting else hinted_priority(name, tool)


def hinted_priority(name: str, tool: ToolPlan) -> int:
    """Return the priority that a tool's or its step's hint asks for.

    Raises:
        DocumentError: It is no whole number.
    """
    found = requirement(tool.requirements, tool.hints, PRIORITY)
    if found is None:
        return 0
    priority = found.get("priority")
    if not isinstance(priority, int) or isinstance(priority, bool):
        raise DocumentError(
            f"{name}: the Priority hint has {json.dumps(priority)} as its priority.", hint="give a whole number."
        )
    return priority
