"""Names of secondary files by their patterns (CWL CommandLineTool, §SecondaryFileSchema)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cwl_prefect.cwl.javascript.expressions import Scope
from cwl_prefect.cwl.javascript.scanner import may_hold_expression
from cwl_prefect.cwl.values.type_errors import shown
from cwl_prefect.errors import ExpressionError
from cwl_prefect.model.values import CwlObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One secondary file that a pattern asks for."""

    name: str
    required: bool
    given: CwlObject | None = None  # an expression may give the whole object


def wanted(
    patterns: tuple[Mapping[str, Any], ...], primary: CwlObject, scope: Scope, *, required: bool
) -> Iterator[Wanted]:
    """Yield what the patterns ask for of a primary file.

    Args:
        patterns: The patterns.
        primary: The primary file.
        scope: What expressions see beside it.
        required: Whether what a pattern says nothing of must be there: so it is for inputs.

    Raises:
        ExpressionError: An expression gives something else than names or files.
    """
    for entry in patterns:
        pattern = entry["pattern"]
        needed = _needed(entry.get("required"), primary, scope, unsaid=required)
        if not may_hold_expression(pattern):
            yield Wanted(name=beside(str(primary["basename"]), pattern), required=needed)
            continue
        found = scope.evaluate(pattern, primary)
        for item in found if isinstance(found, list) else [found]:
            if isinstance(item, str) and item:
                yield Wanted(name=item, required=needed)
            elif isinstance(item, dict) and item.get("class") in ("File", "Directory"):
                yield Wanted(name=str(item.get("basename", "")), required=needed, given=item)
            elif item:
                raise ExpressionError(
                    f"the pattern {pattern} of secondaryFiles gave {shown(item)}.",
                    hint="Let it give a name, a File or Directory, or a list of them.",
                )


def beside(basename: str, pattern: str) -> str:
    """Return the name that a pattern makes of another: each ``^`` takes an extension away."""
    while pattern.startswith("^"):
        root, dot, _ = basename.rpartition(".")
        if not dot:
            return basename + pattern.lstrip("^")
        basename, pattern = root, pattern[1:]
    return basename + pattern


def _needed(declared: Any, primary: CwlObject, scope: Scope, *, unsaid: bool) -> bool:
    if declared is None:
        return unsaid
    found = scope.evaluate(declared, primary)
    if found is not None and not isinstance(found, bool):
        raise ExpressionError(
            f"'required' of secondaryFiles must give true or false, {declared} gave {shown(found)}.",
            hint="Compare explicitly, as in $(self.nameext == '.bam').",
        )
    return bool(found)
