"""Formats of plans: one that an earlier release wrote becomes one of today when it is read.

A change of the data model after which plans look otherwise gets a number of its own, and a step from the one before.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from pydantic import JsonValue

PLAN_FORMAT = 2
"""Format of the plans that are written now."""

_Document: TypeAlias = dict[str, JsonValue]


class PlanFormatError(ValueError):
    """A plan has a format that this version does not read."""


def migrated(document: JsonValue) -> JsonValue:
    """Return a plan as it would be written now.

    Raises:
        PlanFormatError: It is of a later version, or no plan.
    """
    found = document.get("format") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(found, int):
        raise PlanFormatError("it does not say which format it has")
    if found not in (*_STEPS, PLAN_FORMAT):
        raise PlanFormatError(f"it has format {found}, and this version reads {min(_STEPS)} to {PLAN_FORMAT}")
    while isinstance(found := document["format"], int) and found < PLAN_FORMAT:
        document = _STEPS[found](document)
    return document


def _with_files_and_places(plan: _Document) -> _Document:
    """Format 2 also says which files a document names, and where its parts stand; both may be left out."""
    return _restamped(plan, 2)


def _restamped(plan: _Document, number: int) -> _Document:
    """Return a plan and all subworkflows in it with another number."""
    steps = plan.get("steps")
    listed = [_with_run(step, number) for step in steps] if isinstance(steps, list) else steps
    return {**plan, "format": number, "steps": listed}


def _with_run(step: JsonValue, number: int) -> JsonValue:
    if not isinstance(step, dict) or not isinstance(run := step.get("run"), dict) or "format" not in run:
        return step
    return {**step, "run": _restamped(run, number)}


_STEPS: Mapping[int, Callable[[_Document], _Document]] = {1: _with_files_and_places}
