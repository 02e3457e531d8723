"""Where the expressions of a process stand, and what each of them sees."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cwl_prefect.cwl.javascript.scanner import may_hold_expression

Entry = Mapping[str, Any]

# Fields that may hold an expression, each with whether it sees something as `self` there.
_FIELDS = {
    "valueFrom": True,
    "position": True,
    "pattern": True,
    "secondaryFiles": True,
    "required": True,
    "format": True,
    "glob": False,
    "outputEval": True,
    "stdin": False,
    "stdout": False,
    "stderr": False,
    "expression": False,
    "arguments": False,
    "envValue": False,
    "entry": False,
    "entryname": False,
    "listing": False,
    "timelimit": False,
    "networkAccess": False,
    "enableReuse": False,
    "processes": False,
    "when": False,
}
_FIELDS |= {f"{kind}{end}": False for kind in ("cores", "ram", "tmpdir", "outdir") for end in ("Min", "Max")}
_NEVER = frozenset({"default", "doc", "label", "id", "steps", "run", "hints", "requirements", "expressionLib", "types"})
_WITHOUT_SELF = frozenset({"arguments", "requirements"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """An expression where it is used.

    Attributes:
        node: What the document has around it, with the places of its fields.
        key: Its field, or its index in a list.
        text: The text that holds it.
        field: The field that it is the value of.
        has_self: Whether it sees something as ``self``.
        of_outputs: Whether it is evaluated once the tool has ended.
    """

    node: Any
    key: str | int
    text: str
    field: str
    has_self: bool
    of_outputs: bool = False


def uses_of_tool(tool: Entry) -> Iterator[Use]:
    """Yield the expressions of a process itself, those of its steps and requirements left out."""
    for field, value in tool.items():
        if field not in _NEVER:
            has_self = field not in _WITHOUT_SELF
            yield from _uses(tool, field, value, field, has_self=has_self, of_outputs=field == "outputs")


def uses_of_requirements(requirements: Any) -> Iterator[Use]:
    """Yield the expressions of requirements; they see no ``self``."""
    for number, entry in enumerate(requirements or ()):
        yield from _uses(requirements, number, entry, "requirements", has_self=False)


def uses_of_step(step: Entry) -> Iterator[Use]:
    """Yield the own expressions of a step: of its inputs, its condition and its loop."""
    for field in ("in", "when", "loop"):
        if field in step:
            yield from _uses(step, field, step[field], field, has_self=field != "when")


def _uses(
    node: Any, key: str | int, value: Any, field: str, *, has_self: bool, of_outputs: bool = False
) -> Iterator[Use]:
    if isinstance(value, str):
        if field in _FIELDS and may_hold_expression(value):
            sees = has_self and _FIELDS[field]
            yield Use(node=node, key=key, text=value, field=field, has_self=sees, of_outputs=of_outputs)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            if name not in _NEVER:
                yield from _uses(value, name, item, name, has_self=has_self, of_outputs=of_outputs)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _uses(value, number, item, field, has_self=has_self, of_outputs=of_outputs)
