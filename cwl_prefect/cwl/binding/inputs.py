"""Job orders: read them, settle their paths, fill defaults and check them against the workflow's inputs."""

import json
import urllib.parse
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from cwl_prefect._lib.locations import is_remote, joined, shown_url
from cwl_prefect._lib.suggestions import near
from cwl_prefect._lib.uris import file_uri, path_of
from cwl_prefect.cwl.access.host_files import EVERYTHING, HostFiles
from cwl_prefect.cwl.javascript.expressions import script_of
from cwl_prefect.cwl.loading.aliases import repeated_too_often
from cwl_prefect.cwl.values.complete import Completion, completed
from cwl_prefect.cwl.values.errors import call_errors, part_errors
from cwl_prefect.cwl.values.formats import Ontology
from cwl_prefect.cwl.values.messages import A_TABULATOR, INDENT, short_path
from cwl_prefect.cwl.values.plain import plain
from cwl_prefect.cwl.values.type_errors import shown, written
from cwl_prefect.cwl.values.types import Parameter, parameters
from cwl_prefect.errors import InputError, Place
from cwl_prefect.model.plan import WorkflowPlan, named_types, places_in, requirement
from cwl_prefect.model.values import TOO_DEEP, CwlObject, CwlValue, file_objects, map_file_objects, unusable
from cwl_prefect.storage.downloads import installed

_CONTROL_KEYS = frozenset({"cwl:tool", "cwl:requirements", "cwltool:overrides", "$namespaces", "$schemas", "id"})
_ALLOWED = "Write values that JSON has: texts in Unicode, finite numbers, nested less deeply."
_FIELDS = "Put texts in quotes, and Files in a list where several are expected."


def parse_job_order(text: str, *, source: str) -> CwlObject:
    """Parse a job order in YAML or JSON.

    Raises:
        InputError: It is neither, or not a mapping; the text names line and column.
    """
    if repeated_too_often(text):
        raise InputError(f"{source}: its YAML aliases stand for too many values.", hint="Write the values out.")
    parsed: Any = None
    try:
        parsed = _parsed(text, source)
        reason = _unusable(parsed)
    except RecursionError:
        reason = TOO_DEEP
    if reason is not None:
        raise InputError(f"{source}: {reason}.", hint=_ALLOWED)
    if parsed is None:
        return {}
    if not isinstance(parsed, Mapping):
        raise InputError(
            f"{source}: expected a mapping from input to value, found {shown(parsed)}.",
            hint="Write one input per line, as in `message: hello`.",
        )
    return {str(key): plain(value) for key, value in parsed.items()}


def resolve_files(value: CwlValue, base: str, namespaces: Mapping[str, str]) -> CwlValue:
    """Copy a value with every path and location of a File or Directory made an absolute URI.

    Args:
        value: Part of a job order.
        base: URI of the directory that relative paths start from, with a final slash.
        namespaces: Prefixes for ``format``, from ``$namespaces``.
    """
    if isinstance(value, list):
        return [resolve_files(item, base, namespaces) for item in value]
    if not isinstance(value, dict):
        return value
    resolved = {key: resolve_files(item, base, namespaces) for key, item in value.items()}
    if value.get("class") not in ("File", "Directory"):
        return resolved
    try:
        return _resolved_file(resolved, base, namespaces)
    except ValueError as error:
        place = value.get("location") or value.get("path")
        raise InputError(f"{place}: this is no address: {error}.", hint="Give a path, or a whole URL.") from error


def prepare_inputs(
    plan: WorkflowPlan,
    values: Mapping[str, CwlValue],
    *,
    ontology: Ontology,
    outermost: bool,
    name: str,
    host_files: HostFiles = EVERYTHING,
) -> CwlObject:
    """Fill defaults, check types and formats, find secondaryFiles and load contents of workflow inputs.

    Args:
        plan: The workflow.
        values: Values by input; undeclared ones are dropped.
        ontology: Format hierarchy of the outermost plan.
        outermost: Whether secondaryFiles are looked for beside their primary file.
        name: What to call the workflow in errors.
        host_files: Which files may be read.

    Raises:
        InputError: A value is missing, of the wrong type, or names a file that does not exist.
    """
    declared = {port.id for port in plan.inputs}
    prefixes = dict(plan.namespaces)
    given = {key: _with_formats(value, prefixes) for key, value in values.items() if key in declared}
    listing: Any = requirement(plan.requirements, plan.hints, "LoadListingRequirement") or {}
    how = Completion(
        script=script_of(plan.requirements, cwl_version=plan.cwl_version),
        runtime={"outdir": None, "tmpdir": None},
        ontology=ontology,
        discover=outermost,
        load_listing=listing.get("loadListing"),
        host_files=host_files,
    )
    with call_errors(name, places=places_in(plan, "")):
        if outermost:
            _check_outermost(plan, given)
        return completed(_ports(plan), given, how)


def _check_outermost(plan: WorkflowPlan, given: CwlObject) -> None:
    """Check what a person gave, and what the document gives in its place."""
    _check_usable(given)
    _check_required(plan, given)
    _check_exist(given)
    _check_defaults(plan, given)


def place_of_input(text: str, name: str, document: str) -> Place | None:
    """Return where a job order, given by its text, has the value of an input."""
    try:
        parsed = _yaml().load(text)
        line, column = parsed.lc.key(name)
    except (YAMLError, ValueError, KeyError, AttributeError, TypeError):
        return None
    return Place(document=document, line=line + 1, column=column + 1)


def unknown_inputs(plan: WorkflowPlan, job_order: Mapping[str, object]) -> dict[str, str]:
    """Return the keys of a job order that name no input, each with what was meant where a name is near it.

    Such keys are allowed, and mostly misspelt names of optional inputs.
    """
    declared = [port.id for port in plan.inputs]
    unknown = [key for key in job_order if key not in declared and key not in _CONTROL_KEYS]
    return {key: "" if (meant := near(key, declared)) is None else f" Did you mean {meant!r}?" for key in unknown}


def _ports(plan: WorkflowPlan) -> tuple[Parameter, ...]:
    declared: Any = plan.document["inputs"]
    return parameters(declared, named_types((*plan.hints, *plan.requirements)))


class _PlainConstructor(RoundTripConstructor):
    """Takes a date as the text that stands there, as CWL has no dates."""


_PlainConstructor.add_constructor("tag:yaml.org,2002:timestamp", lambda _loader, node, *_values: node.value)


def _yaml() -> YAML:
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.Constructor = _PlainConstructor
    return yaml


def _resolved_file(value: dict[str, CwlValue], base: str, namespaces: Mapping[str, str]) -> dict[str, CwlValue]:
    changed = dict(value)
    path, location = changed.get("path"), changed.get("location")
    if path is None or isinstance(path, str):
        changed.pop("path", None)
    if location is None and isinstance(path, str):
        is_url = is_remote(path) or path.startswith("file:")
        named = path if is_url else urllib.parse.quote(path, errors="surrogateescape")
        changed["location"] = joined(base, named)
    elif isinstance(location, str) and not location.startswith("_:"):
        changed["location"] = joined(base, location)
    here = path_of(str(changed.get("location") or "_:"))
    if here is not None and here.is_absolute():
        changed["location"] = file_uri(here)  # which nobody can read in two ways
    if isinstance(changed.get("format"), str):
        changed["format"] = _expanded(str(changed["format"]), namespaces)
    return changed


def _with_formats(value: CwlValue, namespaces: Mapping[str, str]) -> CwlValue:
    """Expand the prefixes of formats by the document's namespaces, which hold in job orders too."""
    if not namespaces:
        return value

    def expanded(found: CwlObject) -> CwlObject:
        """Return a file with its format expanded."""
        name = found.get("format")
        return {**found, "format": _expanded(name, namespaces)} if isinstance(name, str) else found

    return map_file_objects(value, expanded)


def _expanded(name: str, namespaces: Mapping[str, str]) -> str:
    prefix, separator, rest = name.partition(":")
    return namespaces[prefix] + rest if separator and prefix in namespaces else name


def _unusable(parsed: object) -> str | None:
    """Return why a job order cannot be used, with the input."""
    if not isinstance(parsed, dict):
        return unusable(parsed, files=False)
    reasons = ((name, unusable({name: value}, files=False)) for name, value in parsed.items())
    return next((f"input {name}: {reason}" for name, reason in reasons if reason is not None), None)


def _check_usable(given: Mapping[str, CwlValue]) -> None:
    for port, value in given.items():
        with part_errors(f"input {port}"):
            if (reason := unusable(value, files=False)) is not None:
                raise InputError(f"{reason}.", hint=_ALLOWED)
            if (reason := unusable(value)) is not None:
                raise InputError(f"{reason}.", hint=_FIELDS)


def _check_required(plan: WorkflowPlan, given: Mapping[str, CwlValue]) -> None:
    names = [port.id for port in plan.inputs if port.required and given.get(port.id) is None]
    if not names:
        return
    declared = {port.name: port.type for port in _ports(plan)}
    types = dict.fromkeys(written(declared[name]) for name in names)
    error = InputError(
        f"no value for the required input{'s' if len(names) > 1 else ''} {', '.join(names)},"
        f" expected {', '.join(types)}.",
        hint=f"Give a value in the job order, or after the document as in --{names[0]} VALUE.",
    )
    error.parts = (f"input {names[0]}",)
    raise error


def _check_exist(given: Mapping[str, CwlValue]) -> None:
    for port, value in given.items():
        with part_errors(f"input {port}"):
            for found in file_objects(value):
                _check_there(found)


def _check_defaults(plan: WorkflowPlan, given: Mapping[str, CwlValue]) -> None:
    try:
        _check_exist({port.id: port.default for port in plan.inputs if given.get(port.id) is None})
    except InputError as error:
        error.hint = "Correct the default in the document, or give the input a value."
        raise


def _check_there(found: CwlObject) -> None:
    location = found.get("location")
    if not isinstance(location, str):
        return
    scheme = location.partition(":")[0]
    if scheme == "_" or is_remote(location):
        return
    if scheme != "file":
        raise InputError(
            f"{found['class']} {shown_url(location)}: locations with {scheme}: cannot be read.",
            hint="Fetch it first, and give the path of the local copy.",
        )
    path = path_of(location)
    if path is None:
        raise InputError(
            f"{found['class']} {location}: it is on another machine.",
            hint="Fetch it first, and give the path of the local copy.",
        )
    a_directory = found["class"] == "Directory"
    expected = path.is_dir() or installed().stages(location) if a_directory else path.is_file()
    if not expected:
        raise _not_found(f"{found['class']} {short_path(str(path))}", path)


def _not_found(what: str, path: Path) -> InputError:
    if path.is_dir():
        return InputError(f"{what}: there is a directory at this path.", hint="Give it with `class: Directory`.")
    if path.is_file():
        return InputError(f"{what}: there is a file at this path.", hint="Give it with `class: File`.")
    if path.exists():
        return InputError(f"{what}: neither a file nor a directory.", hint="Give the path of a regular file.")
    return InputError(
        f"{what}: no such file or directory.",
        hint="Check the path; a relative one starts from the directory of the job order, "
        "or from the current one where it is given as a flag.",
    )


def _parsed(text: str, source: str) -> Any:
    if text.lstrip().startswith("{"):
        with suppress(json.JSONDecodeError):  # it may be YAML yet
            return json.loads(text)
    try:
        return _yaml().load(text)
    except MarkedYAMLError as error:
        raise _yaml_error(error, source) from error
    except (YAMLError, ValueError) as error:
        raise InputError(f"{source}: not YAML: {error}") from error
    except TypeError as error:  # of a name that cannot be looked up
        text = f"{source}: a list or a mapping is where a name is expected."
        raise InputError(text, hint="Check colons, commas and brackets.") from error


def _yaml_error(error: MarkedYAMLError, source: str) -> InputError:
    mark = error.problem_mark
    place = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
    if "'\\t'" in str(error.problem):
        return InputError(f"{source}{place}: not YAML: {A_TABULATOR}.", hint=INDENT)
    return InputError(f"{source}{place}: not YAML: {error.problem}.", hint="Check quotes, colons and indentation.")
