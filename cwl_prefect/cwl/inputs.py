"""Job orders: read them, settle their paths, fill defaults and check them against the workflow's inputs."""

import json
import urllib.parse
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from cwltool.context import RuntimeContext
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from schema_salad.utils import yaml_no_ts

from cwl_prefect.cwl.aliases import repeated_too_often
from cwl_prefect.cwl.bind import missing_files
from cwl_prefect.cwl.documents import plain
from cwl_prefect.cwl.live import Ontology, call_errors, make_live
from cwl_prefect.errors import InputError
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.model.values import CwlObject, CwlValue, file_objects, map_file_objects

_CONTROL_KEYS = frozenset({"cwl:tool", "cwl:requirements", "cwltool:overrides", "$namespaces", "$schemas", "id"})
READABLE_SCHEMES = frozenset({"file", "http", "https", "_"})


def parse_job_order(text: str, *, source: str) -> CwlObject:
    """Parse a job order in YAML or JSON.

    Raises:
        InputError: It is neither, or not a mapping; the text names line and column.
    """
    if repeated_too_often(text):
        raise InputError(f"{source}: its YAML aliases stand for too many values.", hint="Write the values out.")
    try:
        parsed = json.loads(text) if text.lstrip().startswith("{") else yaml_no_ts().load(text)
    except json.JSONDecodeError:
        parsed = _parse_yaml(text, source)
    except MarkedYAMLError as error:
        raise _yaml_error(error, source) from error
    except (YAMLError, ValueError) as error:
        raise InputError(f"{source}: not YAML: {error}") from error
    if parsed is None:
        return {}
    if not isinstance(parsed, Mapping):
        raise InputError(
            f"{source}: expected a mapping from input to value, found {type(parsed).__name__}.",
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
    return _resolved_file(resolved, base, namespaces)


def prepare_inputs(
    plan: WorkflowPlan,
    values: Mapping[str, CwlValue],
    *,
    ontology: Ontology,
    outermost: bool,
    timeout_s: float,
    name: str,
) -> CwlObject:
    """Fill defaults, check types and formats, find secondaryFiles and load contents of workflow inputs.

    Args:
        plan: The workflow.
        values: Values by input; undeclared ones are dropped.
        ontology: Format hierarchy of the outermost plan.
        outermost: Whether secondaryFiles are looked for beside their primary file.
        timeout_s: Time limit of one expression.
        name: What to call the workflow in errors.

    Raises:
        InputError: A value is missing, of the wrong type, or names a file that does not exist.
    """
    declared = {port.id for port in plan.inputs}
    prefixes = dict(plan.namespaces)
    given = {key: _with_formats(value, prefixes) for key, value in values.items() if key in declared}
    if outermost:
        _check_required(plan, given, name)
        _check_exist(given, name)
    live = _live_inputs(plan, ontology)
    context = RuntimeContext({"eval_timeout": timeout_s, "toplevel": outermost, "use_container": False})
    with call_errors(name, given), missing_files(name):
        job = next(live.job(given, None, context))
    return {str(key): value for key, value in job.builder.job.items()}


def unknown_inputs(plan: WorkflowPlan, job_order: Mapping[str, CwlValue]) -> dict[str, str | None]:
    """Give the keys of a job order that name no input, each with the input whose name is nearest, if any is near.

    Such keys are allowed, and mostly misspelt names of optional inputs.
    """
    declared = [port.id for port in plan.inputs]
    unknown = (key for key in job_order if key not in declared and key not in _CONTROL_KEYS)
    return {key: next(iter(get_close_matches(key, declared, n=1)), None) for key in unknown}


_PREPARED: dict[str, Any] = {}


def _live_inputs(plan: WorkflowPlan, ontology: Ontology) -> Any:
    found = _PREPARED.get(plan.digest)
    if found is None:
        found = make_live(
            {"id": f"#{plan.name}", **plan.document},
            requirements=plan.requirements,
            hints=plan.hints,
            cwl_version=plan.cwl_version,
            ontology=ontology,
        )
        _PREPARED[plan.digest] = found
    return found


def _resolved_file(value: dict[str, CwlValue], base: str, namespaces: Mapping[str, str]) -> dict[str, CwlValue]:
    changed = dict(value)
    path, location = changed.pop("path", None), changed.get("location")
    if location is None and isinstance(path, str):
        scheme = urllib.parse.urlsplit(path).scheme
        is_url = scheme in ("http", "https", "file", "ftp", "s3", "gs")
        changed["location"] = path if is_url else urllib.parse.urljoin(base, urllib.parse.quote(path))
    elif isinstance(location, str) and not location.startswith("_:"):
        changed["location"] = urllib.parse.urljoin(base, location)
    if isinstance(changed.get("format"), str):
        changed["format"] = _expanded(str(changed["format"]), namespaces)
    return changed


def _with_formats(value: CwlValue, namespaces: Mapping[str, str]) -> CwlValue:
    """Expand the prefixes of formats by the document's namespaces, which hold in job orders too."""
    if not namespaces:
        return value

    def expanded(found: CwlObject) -> CwlObject:
        """Give a file with its format expanded."""
        name = found.get("format")
        return {**found, "format": _expanded(name, namespaces)} if isinstance(name, str) else found

    return map_file_objects(value, expanded)


def _expanded(name: str, namespaces: Mapping[str, str]) -> str:
    prefix, separator, rest = name.partition(":")
    return namespaces[prefix] + rest if separator and prefix in namespaces else name


def _check_required(plan: WorkflowPlan, given: Mapping[str, CwlValue], name: str) -> None:
    missing = [port.id for port in plan.inputs if port.required and given.get(port.id) is None]
    if missing:
        raise InputError(
            f"{name}: no value for the required input{'s' if len(missing) > 1 else ''} {', '.join(missing)}.",
            hint=f"Give a value in the job order, or after the document as in --{missing[0]} VALUE.",
        )


def _check_exist(given: Mapping[str, CwlValue], name: str) -> None:
    for port, value in given.items():
        for found in file_objects(value):
            location = found.get("location")
            if not isinstance(location, str):
                continue
            scheme = urllib.parse.urlsplit(location).scheme
            if scheme not in READABLE_SCHEMES:
                raise InputError(
                    f"{name}: input {port}: {found['class']} {location}: locations with {scheme}: cannot be read.",
                    hint="Fetch it first, and give the path of the local copy.",
                )
            if scheme != "file":
                continue
            path = Path(urllib.parse.unquote(urllib.parse.urlsplit(location).path))
            expected = path.is_dir() if found["class"] == "Directory" else path.is_file()
            if not expected:
                raise _not_found(f"{name}: input {port}: {found['class']} {path}", path)


def _not_found(what: str, path: Path) -> InputError:
    if path.is_dir():
        return InputError(f"{what}: there is a directory at this path.", hint="Give it with `class: Directory`.")
    if path.is_file():
        return InputError(f"{what}: there is a file at this path.", hint="Give it with `class: File`.")
    if path.exists():
        return InputError(f"{what}: neither a file nor a directory.", hint="Give the path of a regular file.")
    return InputError(
        f"{what}: no such file or directory.",
        hint="Check the path; a relative one starts from the directory of the job order.",
    )


def _parse_yaml(text: str, source: str) -> Any:
    try:
        return yaml_no_ts().load(text)
    except MarkedYAMLError as error:
        raise _yaml_error(error, source) from error
    except (YAMLError, ValueError) as error:
        raise InputError(f"{source}: not YAML: {error}") from error


def _yaml_error(error: MarkedYAMLError, source: str) -> InputError:
    mark = error.problem_mark
    place = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
    return InputError(f"{source}{place}: not YAML: {error.problem}.", hint="Check quotes, colons and indentation.")
