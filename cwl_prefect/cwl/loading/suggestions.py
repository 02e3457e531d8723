"""Names that a document could have meant, for one that it does not know."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cwltool.process import shortname, supportedProcessRequirements
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cwl_prefect._lib.suggestions import near
from cwl_prefect.cwl.access.open_texts import text_of

CLASSES = ("CommandLineTool", "ExpressionTool", "Workflow", "Operation")
TYPES = ("string", "int", "long", "float", "double", "boolean", "File", "Directory", "Any", "null", "stdout", "stderr")
REQUIREMENTS = tuple(sorted({shortname(name) for name in supportedProcessRequirements}))

_TYPES_OF_OTHERS = {"str": "string", "text": "string", "integer": "int", "bool": "boolean", "number": "double"}
_TYPES_OF_OTHERS |= {"path": "File", "dir": "Directory", "folder": "Directory", "list": "an array, as string[]"}


def near_type(name: str) -> str | None:
    """Return the type that was meant by a name that is none."""
    return _TYPES_OF_OTHERS.get(name.lower()) or near(name, TYPES)


def sources_in(path: Path) -> tuple[str, ...]:
    """Return what may be a source of a link in the workflows of a local document: inputs, and outputs of steps."""
    return tuple(dict.fromkeys(name for workflow in _workflows_in(path) for name in _sources(workflow)))


def step_inputs_in(path: Path) -> tuple[str, ...]:
    """Return the inputs of all steps of the workflows of a local document."""
    steps = (step for workflow in _workflows_in(path) for _, step in _named(workflow.get("steps")))
    return tuple(dict.fromkeys(name for step in steps if isinstance(step, dict) for name, _ in _named(step.get("in"))))


def _workflows_in(path: Path) -> list[Mapping[str, Any]]:
    try:
        document = YAML(typ="safe", pure=True).load(text_of(path))
    except (OSError, ValueError, YAMLError, RecursionError):
        return []
    return list(_workflows(document))


def _workflows(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        for item in value:
            yield from _workflows(item)
    elif isinstance(value, dict):
        if "steps" in value:
            yield value
        for item in value.values():
            yield from _workflows(item)


def _sources(workflow: Mapping[str, Any]) -> Iterator[str]:
    yield from (name for name, _ in _named(workflow.get("inputs")))
    for name, step in _named(workflow.get("steps")):
        listed = step.get("out") if isinstance(step, dict) else None
        for output in listed if isinstance(listed, list) else ():
            yield f"{name}/{output.get('id') if isinstance(output, dict) else output}"


def _named(entries: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(entries, dict):
        yield from ((str(name), entry) for name, entry in entries.items())
    elif isinstance(entries, list):
        yield from ((str(entry["id"]), entry) for entry in entries if isinstance(entry, dict) and "id" in entry)
