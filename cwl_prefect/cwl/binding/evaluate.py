"""Evaluate what belongs to a step rather than to its tool: loadContents, loadListing, valueFrom and when."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cwl_prefect.cwl.access.host_files import EVERYTHING, HostFiles
from cwl_prefect.cwl.javascript.expressions import Scope, script_of
from cwl_prefect.cwl.values import files
from cwl_prefect.cwl.values.errors import call_errors, part_errors
from cwl_prefect.cwl.values.type_errors import shown
from cwl_prefect.errors import ExpressionError
from cwl_prefect.model.plan import Link
from cwl_prefect.model.values import CwlObject, CwlValue

_LISTINGS = ("shallow_listing", "deep_listing")


def step_values(  # noqa: PLR0913 - what a step's expressions depend on
    links: Sequence[Link],
    values: Mapping[str, CwlValue],
    *,
    requirements: Iterable[Mapping[str, Any]],
    name: str,
    seen: Mapping[str, CwlValue] | None = None,
    places: Mapping[str, str] | None = None,
    host_files: HostFiles = EVERYTHING,
) -> CwlObject:
    """Apply loadContents and loadListing, and then valueFrom, to the inputs of one step call.

    Each valueFrom sees the values before any of them: their order is undefined (CWL Workflow, §WorkflowStepInput).

    Args:
        links: The step's links; only their expressions matter here.
        values: The merged value of each port, which is ``self`` of its own expression.
        requirements: Requirements that apply to the expressions.
        name: What to call the step in errors.
        seen: What expressions see as ``inputs``; ``values`` where it is not given.
        places: Where the parts of the step stand, as a plan has them.
        host_files: Which files may be read.

    Raises:
        ExpressionError: An expression failed.
        StepError: A file is too large for loadContents.
        InputError: A file may not be read.
    """
    loaded: CwlObject = dict(values)
    listed: CwlObject = {}
    for link in links:
        with call_errors(name, places=places), part_errors(f"input {link.port}"):
            host_files.demand(loaded.get(link.port))
            if link.load_contents:
                loaded[link.port] = files.map_files(loaded.get(link.port), _with_contents)
            if link.load_listing in _LISTINGS:
                deep = link.load_listing == "deep_listing"
                listed[link.port] = files.with_listings(loaded.get(link.port), deep=deep)
    scope = _scope(loaded | listed if seen is None else seen, requirements)
    evaluated: CwlObject = loaded | listed
    for link in links:
        if link.value_from is not None:
            with call_errors(name, places=places), part_errors(f"valueFrom of {link.port}"):
                own = files.with_listings(loaded.get(link.port), deep=True)
                evaluated[link.port] = scope.evaluate(link.value_from, own)
    return evaluated


def holds(
    condition: str,
    values: Mapping[str, CwlValue],
    *,
    requirements: Iterable[Mapping[str, Any]],
    name: str,
    places: Mapping[str, str] | None = None,
) -> bool:
    """Check whether a step's ``when`` is true (CWL Workflow, §WorkflowStep).

    Raises:
        ExpressionError: It failed, or gave neither true nor false.
    """
    with call_errors(name, places=places), part_errors("when"):
        return evaluated_boolean(condition, values, requirements=requirements)


def evaluated_boolean(
    condition: str, values: Mapping[str, CwlValue], *, requirements: Iterable[Mapping[str, Any]]
) -> bool:
    """Evaluate what must be true or false.

    Raises:
        JavascriptError: It failed.
        ExpressionError: It gave neither.
    """
    found = _scope(values, requirements).evaluate(condition)
    if not isinstance(found, bool):
        raise ExpressionError(
            f"expected true or false, {condition} gave {shown(found)}.",
            hint="Compare explicitly, as in $(inputs.count > 0).",
        )
    return found


def _scope(inputs: Mapping[str, Any], requirements: Iterable[Mapping[str, Any]]) -> Scope:
    return Scope(inputs=inputs, runtime={"tmpdir": None, "outdir": None}, script=script_of(requirements))


def _with_contents(found: CwlObject) -> CwlObject:
    if found["class"] != "File" or found.get("contents") is not None:
        return found
    path = files.local_path(str(found["location"]))
    return {**found, "contents": files.contents_of(path, str(found.get("basename", path)))}
