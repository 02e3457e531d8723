"""Evaluate what belongs to a step rather than to its tool: loadContents, loadListing, valueFrom and when."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from cwltool.builder import content_limit_respected_read
from cwltool.stdfsaccess import StdFsAccess
from cwltool.utils import get_listing

from cwl_prefect.cwl.bind import missing_files
from cwl_prefect.cwl.expressions import evaluate
from cwl_prefect.cwl.live import call_errors
from cwl_prefect.errors import ExpressionError
from cwl_prefect.model.plan import Link
from cwl_prefect.model.values import CwlObject, CwlValue

_LISTINGS = ("shallow_listing", "deep_listing")


def step_values(
    links: Sequence[Link],
    values: Mapping[str, CwlValue],
    *,
    requirements: Iterable[Mapping[str, Any]],
    name: str,
    seen: Mapping[str, CwlValue] | None = None,
) -> CwlObject:
    """Apply loadContents and loadListing, and then valueFrom, to the inputs of one step call.

    Each valueFrom sees the values before any of them: their order is undefined (CWL Workflow, §WorkflowStepInput).

    Args:
        links: The step's links; only their expressions matter here.
        values: The merged value of each port, which is ``self`` of its own expression.
        requirements: Requirements that apply to the expressions.
        name: What to call the step in errors.
        seen: What expressions see as ``inputs``; ``values`` where it is not given.

    Raises:
        ExpressionError: An expression failed.
        StepError: A file is too large for loadContents.
    """
    loaded = dict(values)
    with call_errors(name), missing_files(name):
        for link in links:
            if link.load_contents and loaded.get(link.port) is not None:
                loaded[link.port] = _with_contents(loaded[link.port])
        listed = loaded | {
            link.port: _with_listing(loaded.get(link.port), deep=link.load_listing == "deep_listing")
            for link in links
            if link.load_listing in _LISTINGS
        }
        inputs = listed if seen is None else dict(seen)
        evaluated = dict(listed)
        for link in links:
            if link.value_from is not None:
                own = _with_listing(loaded.get(link.port), deep=True)
                with call_errors(f"{name}: valueFrom of {link.port}", step=name):
                    evaluated[link.port] = _evaluate(link.value_from, inputs, own, requirements)
        return evaluated


def holds(
    condition: str,
    values: Mapping[str, CwlValue],
    *,
    requirements: Iterable[Mapping[str, Any]],
    name: str,
) -> bool:
    """Tell whether a step's ``when`` is true (CWL Workflow, §WorkflowStep).

    Raises:
        ExpressionError: It failed, or gave neither true nor false.
    """
    return evaluated_boolean(condition, values, requirements=requirements, what=f"{name}: when", name=name)


def evaluated_boolean(
    condition: str,
    values: Mapping[str, CwlValue],
    *,
    requirements: Iterable[Mapping[str, Any]],
    what: str,
    name: str,
) -> bool:
    """Evaluate what must be true or false.

    Raises:
        ExpressionError: It failed, or gave neither; the text begins with ``what``.
    """
    with call_errors(what, step=name):
        found = _evaluate(condition, values, None, requirements)
    if not isinstance(found, bool):
        raise ExpressionError(
            f"{what} must give true or false, {condition!r} gave {found!r}.",
            step=name,
            hint="Compare explicitly, as in $(inputs.count > 0).",
        )
    return found


def _evaluate(text: str, inputs: Any, own: Any, requirements: Iterable[Any]) -> Any:
    runtime = {"tmpdir": None, "outdir": None}
    return evaluate(text, {"inputs": inputs, "self": own, "runtime": runtime}, requirements)


def _with_contents(value: CwlValue) -> CwlValue:
    if isinstance(value, list):
        return [_with_contents(item) for item in value]
    if not isinstance(value, dict) or value.get("contents") is not None:
        return value
    with StdFsAccess("").open(str(value["location"]), "rb") as stream:
        return {**value, "contents": content_limit_respected_read(stream)}


def _with_listing(value: CwlValue, *, deep: bool) -> CwlValue:
    if not _has_directory(value):
        return value
    copied: Any = _copied(value)
    get_listing(StdFsAccess(""), {"of": copied}, recursive=deep)  # within an object, as it takes no array
    return cast("CwlValue", copied)


def _has_directory(value: CwlValue) -> bool:
    if isinstance(value, list):
        return any(_has_directory(item) for item in value)
    if not isinstance(value, dict):
        return False
    return value.get("class") == "Directory" or any(_has_directory(item) for item in value.values())


def _copied(value: CwlValue) -> CwlValue:
    if isinstance(value, list):
        return [_copied(item) for item in value]
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return value
