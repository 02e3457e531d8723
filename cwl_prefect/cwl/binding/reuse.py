"""What of a tool can change the result of its calls, and what cannot: labels, documentation, names, hints for people.

The rules for each field and requirement are those of ``docs/reference/cache-key.md``.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from cwl_prefect.cwl.binding.bind import docker_requirement
from cwl_prefect.cwl.binding.evaluate import evaluated_boolean
from cwl_prefect.cwl.javascript.scanner import has_expression, has_javascript
from cwl_prefect.cwl.values.errors import call_errors, part_errors
from cwl_prefect.model.cache import ToolIdentity
from cwl_prefect.model.names import short_name
from cwl_prefect.model.plan import StepPlan, ToolPlan, WorkflowPlan
from cwl_prefect.model.values import CwlObject, CwlValue

_FOR_PEOPLE = frozenset({"doc", "intent", "label", "streamable"})
_APART = frozenset({"class", "hints", "id", "inputs", "outputs", "requirements"})
_SHORT_NAMES = frozenset({"items", "name", "symbols", "type"})

# These steer or only allow; none of them can make a call that ends well give something else.
_WITHOUT_EFFECT = frozenset(
    {
        "DockerRequirement",  # the image is a part of the key by itself
        "MultipleInputFeatureRequirement",
        "ResourceRequirement",  # it counts where an expression reads what was asked for
        "ScatterFeatureRequirement",
        "Secrets",
        "StepInputExpressionRequirement",
        "SubworkflowFeatureRequirement",
        "TimeLimit",
        "ToolTimeLimit",
        "WorkReuse",
    }
)
# Hints beyond these mean nothing to this runner.
_KNOWN = frozenset(
    {
        "CUDARequirement",
        "EnvVarRequirement",
        "InitialWorkDirRequirement",
        "InlineJavascriptRequirement",
        "InplaceUpdateRequirement",
        "LoadListingRequirement",
        "MPIRequirement",
        "NetworkAccess",
        "SchemaDefRequirement",
        "ShellCommandRequirement",
        "ShmSize",
        "SoftwareRequirement",
    }
)
_STREAM = re.compile(r"[0-9a-f]{40}")


def tool_identity(tool: ToolPlan, ontology: Iterable[tuple[str, ...]], *, containers: bool) -> ToolIdentity:
    """Return what of a tool matters to its calls.

    Args:
        tool: The tool.
        ontology: Format hierarchy of the outermost plan, by which formats are checked.
        containers: Whether the tool runs in its image, where it names one.
    """
    effective = effective_requirements(tool)
    image, required = docker_requirement(tool) if containers else (None, False)
    document = _with_plain_streams(tool.document)
    requirements = _relevant(effective, expressions=has_expression([document, list(effective.values())]))
    formats = any("format" in port for port in document["inputs"])
    parts: dict[str, CwlValue] = {
        "cwl": tool.cwl_version,
        "command": {key: item for key, item in document.items() if _matters(key) and key not in _APART},
    }
    for kind in ("input", "output"):
        parts |= declarations(document, kind)
    if formats:
        parts["ontology"] = [list(triple) for triple in ontology]
    if image is not None and (outdir := effective["DockerRequirement"].get("dockerOutputDirectory")):
        parts["outdir"] = outdir
    if image is not None and "InitialWorkDirRequirement" in effective:
        parts["image required"] = required  # an absolute entryname is allowed only where it is
    return ToolIdentity(
        parts=parts,
        requirements=requirements,
        defaults={_short(port["id"]): port["default"] for port in document["inputs"] if "default" in port},
        ports=tuple(port.id for port in tool.inputs),
        resources=effective.get("ResourceRequirement"),
        formats=formats,
        image=image,
        command=_first_word(document),
        obstacle=_obstacle(effective),
        reuse=effective.get("WorkReuse", {}).get("enableReuse", True),
        ordered=has_javascript([document, requirements]),
    )


def updates_in_place(tool: ToolPlan) -> bool:
    """Check whether a tool may change its input files, which then are no results to be kept."""
    return bool(effective_requirements(tool).get("InplaceUpdateRequirement", {}).get("inplaceUpdate"))


def reuse_wanted(identity: ToolIdentity, tool: ToolPlan, values: CwlObject, *, name: str) -> bool:
    """Check whether the outputs of a call may be reused (CWL CommandLineTool, §WorkReuse).

    Raises:
        ExpressionError: ``enableReuse`` is an expression that fails, or gives neither true nor false.
    """
    if isinstance(identity.reuse, bool):
        return identity.reuse
    inputs = {
        port: identity.defaults.get(port) if values.get(port) is None else values[port] for port in identity.ports
    }
    with call_errors(name), part_errors("enableReuse"):
        return evaluated_boolean(identity.reuse, inputs, requirements=tool.requirements)


def effective_requirements(holder: ToolPlan | StepPlan | WorkflowPlan) -> dict[str, dict[str, Any]]:
    """Return the requirements that apply by short class: the last one of a class, requirements before hints."""
    hints = {_class(entry): entry for entry in holder.hints if _class(entry) in _KNOWN | _WITHOUT_EFFECT}
    return hints | {_class(entry): entry for entry in holder.requirements}


def _class(entry: Mapping[str, Any]) -> str:
    return str(entry["class"]).rpartition("#")[2]


def _relevant(effective: Mapping[str, Any], *, expressions: bool) -> dict[str, CwlValue]:
    """Return the requirements that can change a result, without what is for people."""
    found: dict[str, CwlValue] = {}
    for name, entry in effective.items():
        if name in _WITHOUT_EFFECT:
            continue
        if name == "InlineJavascriptRequirement" and not expressions:
            continue
        if name == "SchemaDefRequirement":
            found[name] = {_short(declared["name"]): _type(declared) for declared in entry["types"]}
            continue
        found[name] = {key: item for key, item in entry.items() if key != "class" and _matters(key)}
    return found


def _obstacle(effective: Mapping[str, Any]) -> str | None:
    if "Secrets" in effective:
        return "it has secret inputs, which no cache keeps"
    if effective.get("InplaceUpdateRequirement", {}).get("inplaceUpdate"):
        return "it changes its inputs in place"
    return None


def _matters(key: str) -> bool:
    return key not in _FOR_PEOPLE and ":" not in key


def declarations(document: Mapping[str, Any], kind: str) -> dict[str, CwlValue]:
    """Return what counts of a process's inputs or outputs, each as ``input NAME`` or ``output NAME``."""
    return {f"{kind} {_short(port['id'])}": _declaration(port) for port in document[f"{kind}s"]}


def _declaration(port: Mapping[str, Any]) -> CwlValue:
    kept = {key: item for key, item in port.items() if _matters(key) and key not in ("id", "default")}
    return {**kept, "type": _type(port["type"])}


def _type(declared: Any) -> Any:
    """Return a type without what is for people, and with names that do not depend on the document's own."""
    if isinstance(declared, list):
        return [_type(item) for item in declared]
    if not isinstance(declared, dict):
        return _short(declared) if isinstance(declared, str) else declared
    kept = {key: item for key, item in declared.items() if _matters(key)}
    for key in _SHORT_NAMES & kept.keys():
        kept[key] = _type(kept[key])
    if isinstance(kept.get("fields"), list):
        kept["fields"] = [_type(field) for field in kept["fields"]]
    return kept


def _short(name: str) -> str:
    return short_name(name) if "#" in name else name


def _with_plain_streams(document: Mapping[str, Any]) -> Any:
    """Name stdout and stderr that the author left unnamed alike in all documents."""
    text = None
    for stream in ("stdout", "stderr"):
        name = document.get(stream)
        if isinstance(name, str) and _STREAM.fullmatch(name):
            text = (text or json.dumps(document)).replace(name, stream)
    return document if text is None else json.loads(text)


def _first_word(document: Mapping[str, Any]) -> str | None:
    words = document.get("baseCommand") or document.get("arguments") or []
    first = words[0] if isinstance(words, list) and words else words
    return first if isinstance(first, str) and "$" not in first else None
