"""Requirements that a job order adds: ``cwl:requirements`` of its document, ``cwltool:overrides`` of any process."""

import json
from collections.abc import Mapping
from typing import Any

from cwltool.load_tool import resolve_overrides
from cwltool.process import shortname, supportedProcessRequirements
from schema_salad.exceptions import SchemaSaladException
from schema_salad.sourceline import cmap

from cwl_prefect.errors import InputError, UnsupportedError

REQUIREMENTS = ("cwl:requirements", "https://w3id.org/cwl/cwl#requirements")
OVERRIDES = ("cwltool:overrides", "http://commonwl.org/cwltool#overrides")


def overrides_of(job_order: Mapping[str, Any], process: str) -> list[Any]:
    """Return the overrides of a job order in the form that cwltool takes.

    Args:
        job_order: The job order.
        process: URI of the process that it is for, with its fragment.

    Raises:
        InputError: They have a wrong form.
        UnsupportedError: They ask for a requirement that this runner does not have.
    """
    overrides = _first(job_order, OVERRIDES) or {}
    if isinstance(overrides, list) and all(isinstance(entry, Mapping) for entry in overrides):
        overrides = {entry.get("overrideTarget"): entry for entry in overrides}
    if not isinstance(overrides, Mapping):
        raise _wrong_form(OVERRIDES[0], "a mapping from process to requirements", overrides)
    targets = {
        str(target): _checked(OVERRIDES[0], value.get("requirements") if isinstance(value, Mapping) else value)
        for target, value in overrides.items()
    }
    requirements = _first(job_order, REQUIREMENTS)
    if requirements:
        targets[process] = [*targets.get(process, []), *_checked(REQUIREMENTS[0], requirements)]
    if not targets:
        return []
    document = {OVERRIDES[1]: {target: {"requirements": entries} for target, entries in targets.items()}}
    try:
        return [_with_known_classes(found) for found in resolve_overrides(_marked(document), process, process)]
    except (SchemaSaladException, TypeError, ValueError, KeyError) as error:
        raise InputError(f"the job order's requirements cannot be understood: {error}") from error


def _with_known_classes(found: Any) -> Any:
    """Return an override with the names of its requirements: cwltool's own schema lacks those since CWL v1.1."""
    for entry in found.get("requirements", ()):
        name = shortname(str(entry["class"]))
        if name in supportedProcessRequirements:
            entry["class"] = name
    return found


def _marked(document: Any) -> Any:
    """Hand schema-salad the line-numbered mapping that it expects; the numbers are placeholders."""
    return cmap(document, fn="job order")


def _first(job_order: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((job_order[name] for name in names if name in job_order), None)


def _checked(field: str, requirements: Any) -> list[dict[str, Any]]:
    if isinstance(requirements, Mapping):
        entries: Any = [
            {**body, "class": name} if isinstance(body, Mapping) else body for name, body in requirements.items()
        ]
    else:
        entries = requirements
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) and "class" in entry for entry in entries):
        raise _wrong_form(field, "requirements, as in `EnvVarRequirement: {envDef: {NAME: value}}`", requirements)
    for entry in entries:
        if entry["class"] not in supportedProcessRequirements:
            raise UnsupportedError(
                f"{field} of the job order: {entry['class']!r} is unknown.", hint="Correct its name."
            )
    return [dict(entry) for entry in entries]


def _wrong_form(field: str, expected: str, found: Any) -> InputError:
    text = json.dumps(found, ensure_ascii=False, default=str)
    return InputError(f"{field} of the job order: expected {expected}; found {text}."[:500])
