"""Types of a workflow's inputs and outputs as Python code, by which type checkers know what a run takes and gives."""

import re
from collections.abc import Iterable, Mapping
from keyword import iskeyword

from cwl_prefect.engine.workflow.cwl_types import CwlType, RecordType, parse_type
from cwl_prefect.engine.workflow.python_types import python_type
from cwl_prefect.model.plan import WorkflowPlan

_IMPORTED = {
    "pathlib": ("Path",),
    "typing": ("Literal", "NotRequired", "TypedDict"),
    "cwl_prefect": ("Directory", "File"),
}
_OWN = frozenset(name for names in _IMPORTED.values() for name in names)


def typed_dicts(plan: WorkflowPlan) -> str:
    """Write a module with the types ``…Inputs`` and ``…Outputs`` of a workflow, and those of its records."""
    name = _class_name(plan.name)
    inputs, outputs = _Types(given=True), _Types(given=False)
    inputs.add(f"{name}Inputs", {port.id: (parse_type(port.type), port.required) for port in plan.inputs})
    outputs.add(f"{name}Outputs", {port.id: (parse_type(port.type), True) for port in plan.outputs})
    classes = "\n\n".join((*inputs.classes.values(), *outputs.classes.values()))
    about = f'"""Types of the workflow {_one_line(plan.name)}, written by `cwl-prefect types`."""'
    return f"{about}\n\n{_imports(classes)}\n\n{classes}"


class _Types:
    """Types of one direction; what is named comes before what names it."""

    def __init__(self, *, given: bool) -> None:
        self.classes: dict[str, str] = {}
        self._given = given

    def add(self, name: str, fields: Mapping[str, tuple[CwlType, bool]]) -> str:
        """Write a type with fields, each of which is required or not, and return what it is called."""
        written = {
            field: _field(self._written(cwl_type, f"{name}{_class_name(field)}"), required=required)
            for field, (cwl_type, required) in fields.items()
        }
        free = next(each for each in _numbered(name) if each not in self.classes and each not in _OWN)
        self.classes[free] = _class(free, written)
        return free

    def _written(self, cwl_type: CwlType, name: str) -> str:
        def of_record(found: RecordType) -> str:
            """Write the type of a record."""
            return self.add(name, {field.name: (field.type, field.required) for field in found.fields})

        return python_type(cwl_type, given=self._given, record=of_record)


def _field(annotation: str, *, required: bool) -> str:
    return annotation if required else f"NotRequired[{annotation}]"


def _class(name: str, fields: Mapping[str, str]) -> str:
    if all(field.isidentifier() and not iskeyword(field) and not field.startswith("__") for field in fields):
        lines = [f"    {field}: {annotation}" for field, annotation in fields.items()] or ["    pass"]
        return "\n".join((f"class {name}(TypedDict):", *lines, ""))
    # Names that Python has no attributes for can only be written so.
    items = (f"        {field!r}: {annotation}," for field, annotation in fields.items())
    return "\n".join((f"{name} = TypedDict(", f'    "{name}",', "    {", *items, "    },", ")", ""))


def _imports(classes: str) -> str:
    lines = [_import(module, names, classes) for module, names in _IMPORTED.items()]
    own = lines.pop()
    return "".join((*lines, f"\n{own}" if own else ""))


def _import(module: str, names: Iterable[str], classes: str) -> str:
    used = [name for name in names if re.search(rf"\b{name}\b", classes)]
    return f"from {module} import {', '.join(used)}\n" if used else ""


def _class_name(text: str) -> str:
    words = re.findall(r"[^\W_]+", text)
    name = "".join(word[0].upper() + word[1:] for word in words)
    return name if name.isidentifier() else f"Workflow{name}"


def _numbered(name: str) -> Iterable[str]:
    yield name
    number = 2
    while True:
        yield f"{name}{number}"
        number += 1


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("\\", " ").replace('"', "'")
