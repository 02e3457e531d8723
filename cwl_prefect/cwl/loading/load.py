"""Read CWL documents: paths, URLs, fragments, packed graphs and older versions, with errors that name the place."""

import logging
import re
import urllib.parse
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from cwltool import process as cwltool_process
from cwltool.context import LoadingContext
from cwltool.errors import GraphTargetMissingException, UnsupportedRequirement, WorkflowException
from cwltool.load_tool import default_loader, fetch_document, make_tool, resolve_and_validate_document
from cwltool.process import SCHEMA_CACHE, Process, use_custom_schema
from cwltool.update import ORIGINAL_CWLVERSION
from cwltool.workflow import default_make_tool
from rdflib import Graph
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError
from schema_salad.exceptions import SchemaSaladException
from schema_salad.sourceline import add_lc_filename

from cwl_prefect._lib.locations import WEB_SCHEMES, scheme_of
from cwl_prefect._lib.suggestions import did_you_mean
from cwl_prefect._lib.uris import path_of
from cwl_prefect.cwl.access.open_texts import open_text
from cwl_prefect.cwl.loading.faults import described, document_error, faults_of
from cwl_prefect.cwl.loading.overrides import overrides_of
from cwl_prefect.cwl.loading.places import check_names, check_unique, share_places
from cwl_prefect.cwl.loading.reading import Reading, RecordingFetcher
from cwl_prefect.cwl.loading.steps import faults_of_steps
from cwl_prefect.cwl.values.messages import document_message
from cwl_prefect.errors import CwlPrefectError, DocumentError, UnsupportedError
from cwl_prefect.model.values import TOO_DEEP, is_text, unusable

EXTENSION_SCHEMAS = {
    "v1.0": "extensions.yml",
    "v1.1": "extensions-v1.1.yml",
    "v1.2": "extensions-v1.2.yml",
    "v1.3.0-dev1": "extensions-v1.3.yml",
}

_UNKNOWN_REQUIREMENT = re.compile(r"checking field 'requirements'.*Field 'class' contains undefined reference")
_OF_STEPS = re.compile(r"Workflow contains|Must specify scatterMethod|Step is missing|does not correspond to")
IS_DOCUMENT = "A CWL document has the fields cwlVersion and class, or cwlVersion and $graph."


def load_recorded(document: str, *, untrusted: bool = False) -> tuple[Process, frozenset[str]]:
    """Load a document like :func:`load_process`, and tell which URLs were read for it."""
    reading = Reading(untrusted=untrusted)
    return load_process(document, reading=reading), frozenset(reading.urls)


def load_process(
    document: str, *, defaults: Mapping[str, Any] | None = None, reading: Reading | None = None
) -> Process:
    """Load and validate a document with everything it refers to, its links' types included.

    Args:
        document: A local path, ``file://`` or ``http(s)://`` URL, with ``#id`` for a part of it.
        defaults: A job order whose ``cwl:requirements`` and ``cwltool:overrides`` apply.
        reading: Receives what is read.

    Raises:
        DocumentError: It cannot be read or is not valid CWL.
        InputError: The requirements of the job order have a wrong form.
        UnsupportedError: It requires a feature that this runner does not have.
    """
    with translated_errors(document):
        context, uri = _resolved(document, defaults or {}, reading or Reading())
        try:
            return make_tool(uri, context)
        except GraphTargetMissingException as error:
            entries = _entries(uri, context)
            if len(entries) == 1:
                return make_tool(entries[0]["id"], context)
            raise _without_main(document, entries) from error


def load_processes(document: str) -> tuple[Process, ...]:
    """Load what a document holds: one process, or all of a graph of several of which none is named and none is main.

    Raises:
        DocumentError: It cannot be read, or one of them is not valid CWL.
        UnsupportedError: One requires a feature that this runner does not have.
    """
    with translated_errors(document):
        context, uri = _resolved(document, {}, Reading())
        try:
            return (make_tool(uri, context),)
        except GraphTargetMissingException:
            return tuple(make_tool(entry["id"], context) for entry in _entries(uri, context))


def _entries(uri: str, context: LoadingContext) -> list[dict[str, Any]]:
    loader: Any = context.loader
    entries, _ = loader.resolve_ref(uri)
    return list(entries)


def _resolved(document: str, defaults: Mapping[str, Any], reading: Reading) -> tuple[LoadingContext, str]:
    quiet_libraries()
    use_extensions()
    _forget_schemas()
    share_places()
    location = document_uri(document)
    context, root, uri = _fetched(document, location, _loading_context(reading, urllib.parse.urldefrag(location).url))
    try:
        context, uri = resolve_and_validate_document(context, root, uri)
    except (SchemaSaladException, WorkflowException) as error:
        if not _is_process(location, root, context):
            raise _no_process(document, root) from error
        raise
    reading.tell_failures()
    process = f"{uri}#main" if "$graph" in root and "#" not in uri else uri
    context.overrides_list = overrides_of(defaults, process)
    return context, uri


def _fetched(document: str, location: str, context: LoadingContext) -> tuple[LoadingContext, Any, str]:
    if open_text(location) is not None:
        _read_quickly(urllib.parse.urldefrag(location).url, context.loader)
    try:
        context, root, uri = fetch_document(location, context)
    except StopIteration:
        root, uri = None, location
    if not isinstance(root, Mapping):
        raise DocumentError(
            f"{document}: expected a CWL document, which is a mapping, found {_kind(root)}.",
            hint=IS_DOCUMENT,
        )
    if "cwlVersion" not in root and "class" not in root and "$graph" not in root:
        raise DocumentError(
            f"{document}: this is YAML, but not a CWL document: it has neither cwlVersion nor class.",
            hint="Give the CWL document first and the job order after it.",
        )
    check_unique(root.get("$graph"), "the process")
    reason = unusable(root, files=False, numbers=False)
    if reason is not None:
        raise DocumentError(f"{document}: {reason}.", hint="Write texts in Unicode, and nest them less deeply.")
    return context, root, uri


def _read_quickly(url: str, loader: Any) -> None:
    """Put a document where the loader looks before it reads, as the loader itself would."""
    from cwl_prefect.cwl.access.quick_yaml import parsed_quickly

    root = parsed_quickly(loader.fetch_text(url))
    if not isinstance(root, CommentedMap):
        return
    add_lc_filename(root, url)
    if isinstance(name := root.setdefault("id", url), str):
        loader.idx[loader.expand_url(name, url, scoped_id=True)] = loader.idx[url] = root


def _checked_tool(
    versions: dict[str, Any],
    toolpath_object: Any,
    loadingContext: LoadingContext,  # noqa: N803 - cwltool's names
) -> Process:
    check_names(toolpath_object)
    _keep_version(versions, loadingContext.metadata)
    _know_types()
    try:
        return default_make_tool(toolpath_object, loadingContext)
    except (SchemaSaladException, WorkflowException, KeyError) as error:
        told = isinstance(error, KeyError) or _OF_STEPS.search(" ".join(str(error).split()))
        faults = faults_of_steps(toolpath_object, loadingContext) if told else ()
        if not faults:
            raise
        raise document_error(faults, str(toolpath_object["id"])) from None


def _know_types() -> None:
    """Take the types that no document declares from a schema that was read: cwltool would read another for them.

    They are the same in each version; a test compares them.
    """
    if cwltool_process.SCHEMA_FILE is None:
        known: Any = next(iter(SCHEMA_CACHE.values()))[3].idx
        cwltool_process.SCHEMA_ANY = known["https://w3id.org/cwl/salad#Any"]
        cwltool_process.SCHEMA_DIR = known["https://w3id.org/cwl/cwl#Directory"]
        cwltool_process.SCHEMA_FILE = known["https://w3id.org/cwl/cwl#File"]


def _keep_version(versions: dict[str, Any], metadata: MutableMapping[str, Any]) -> None:
    """Return each process of a file the version of the file's first one.

    cwltool upgrades a file when it is first used, and takes what it upgraded to for the author's version later.
    """
    if "id" in metadata and ORIGINAL_CWLVERSION in metadata:
        metadata[ORIGINAL_CWLVERSION] = versions.setdefault(str(metadata["id"]), metadata[ORIGINAL_CWLVERSION])


def document_uri(document: str) -> str:
    """Return the URI of a document, with its fragment; a local path must exist.

    Raises:
        DocumentError: There is no such file.
    """
    if scheme_of(document) in (*WEB_SCHEMES, "file"):
        _check_file_url(document)
        return document
    if not is_text(document):
        raise DocumentError(f"{document}: its name is not UTF-8.", hint="Rename the file.")
    whole = Path(document)
    if whole.exists() or open_text(whole) is not None:
        return _existing_file(whole, document).absolute().as_uri()
    path, separator, fragment = document.rpartition("#")
    if separator and Path(path).exists():
        return f"{_existing_file(Path(path), document).absolute().as_uri()}{fragment and f'#{fragment}'}"
    raise DocumentError(f"{document}: no such file.", hint="Check the path of the CWL document.")


@contextmanager
def translated_errors(document: str) -> Iterator[None]:
    """Turn what cwltool and schema-salad raise into errors of this package."""
    try:
        yield
    except CwlPrefectError:
        raise
    except UnsupportedRequirement as error:
        faults = faults_of(error, document)
        raise UnsupportedError(
            described(faults, document),
            hint="Remove the requirement, or give it as a hint if the tool can do without it.",
            faults=faults,
        ) from error
    except UnicodeDecodeError as error:
        raise DocumentError(f"{document}: this is not a text in UTF-8.", hint=IS_DOCUMENT) from error
    except UnicodeEncodeError as error:
        raise DocumentError(f"{document}: it holds half of a character, which no text may.") from error
    except (SchemaSaladException, WorkflowException, YAMLError) as error:
        raise _invalid(document, error) from error
    except ValueError as error:
        raise DocumentError(f"{document}: an address or another value in it means nothing: {error}.") from error
    except RecursionError as error:
        raise DocumentError(
            f"{document}: {TOO_DEEP}, or without end.",
            hint="Look for a workflow that runs itself, also through others.",
        ) from error
    except (OSError, LookupError, TypeError, AttributeError, AssertionError) as error:
        detail = document_message(str(error)) or type(error).__name__
        raise DocumentError(f"{document}: it cannot be loaded as CWL ({type(error).__name__}: {detail}).") from error


def quiet_libraries() -> None:
    """Keep cwltool's and schema-salad's own logging off the terminal; what matters is raised."""
    for name in ("cwltool", "cwl_utils", "salad", "rdflib", "rdflib.term", "schema_salad"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL + 1)
        logger.propagate = False


def _loading_context(reading: Reading, document: str) -> LoadingContext:
    context = LoadingContext()
    context.fetcher_constructor = partial(RecordingFetcher, reading, document)
    context.construct_tool_object = partial(_checked_tool, {})
    context.enable_dev = True
    context.disable_js_validation = True
    context.relax_path_checks = True
    context.do_validate = True
    context.strict = True
    context.loader = default_loader(context.fetcher_constructor, enable_dev=True)
    return context


@cache
def use_extensions() -> None:
    """Accept cwltool's extensions (CUDA, MPI, Loop, in-place update) in every version of the language."""
    for version, file in EXTENSION_SCHEMAS.items():
        use_custom_schema(version, "http://commonwl.org/cwltool", files("cwltool").joinpath(file).read_text("utf-8"))


def _forget_schemas() -> None:
    """Keep what the ``$schemas`` of earlier documents said out of this one; cwltool collects it for all documents."""
    for known in SCHEMA_CACHE.values():
        if isinstance(known, tuple):
            loader = known[0]
            loader.graph = Graph()
            for url in [url for url, found in loader.cache.items() if isinstance(found, Graph)]:
                del loader.cache[url]


def _existing_file(path: Path, document: str) -> Path:
    if path.is_dir():
        raise DocumentError(f"{document}: this is a directory.", hint="Give the path of a CWL document in it.")
    return path


def _check_file_url(document: str) -> None:
    path = path_of(urllib.parse.urldefrag(document).url)
    if document.startswith("file:") and (path is None or not path.is_file()):
        raise DocumentError(f"{document}: no such file.", hint="Check the path of the CWL document.")


def _invalid(document: str, error: Exception) -> CwlPrefectError:
    faults = faults_of(error, document)
    if _UNKNOWN_REQUIREMENT.search(" ".join(str(error).split())):  # which breaks lines as paths are long
        hint = "Correct its name, or give it as a hint if the process can do without it."
        return UnsupportedError(described(faults, document), hint=hint, faults=faults)
    return document_error(faults, document)


def _without_main(document: str, entries: list[dict[str, Any]]) -> DocumentError:
    names = {entry["id"]: urllib.parse.unquote(entry["id"].rpartition("#")[2]) for entry in entries}
    run_by_others = {step.get("run") for entry in entries for step in entry.get("steps", ())}
    outermost = next((name for uri, name in names.items() if uri not in run_by_others), "id")
    return DocumentError(
        f"{document}: it holds several processes, and none is called main: {', '.join(names.values())}.",
        hint=f"Name one, as in {document.rstrip('#')}#{outermost}.",
    )


def _is_process(uri: str, root: Mapping[str, Any], context: LoadingContext) -> bool:
    """Check whether a URI names a process of a document, or the document."""
    loader: Any = context.loader
    fragment, found = _fragment(uri), loader.idx.get(uri)
    return not fragment or fragment in _processes(root) or (isinstance(found, Mapping) and "class" in found)


def _processes(root: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the processes of a document by their names; one without has an empty one."""
    graph = root.get("$graph")
    entries = graph if isinstance(graph, list) else [root]
    return {_fragment(str(entry.get("id", ""))): entry for entry in entries if isinstance(entry, Mapping)}


def _steps(process: Mapping[str, Any]) -> list[str]:
    """Return the names of the steps of a process."""
    steps = process.get("steps") or ()
    ids = steps if isinstance(steps, Mapping) else [step.get("id", "") for step in steps if isinstance(step, Mapping)]
    return [_fragment(str(name)).rpartition("/")[2] for name in ids]


def _fragment(uri: str) -> str:
    """Return the name that a URI has in its document."""
    return urllib.parse.unquote(uri.rpartition("#")[2]) if "#" in uri or "/" not in uri else ""


def _no_process(document: str, root: Mapping[str, Any]) -> DocumentError:
    """Return the error that a document has no process of the name that was asked for, which may be a step's."""
    whole, _, asked = document.rpartition("#")
    processes = _processes(root)
    parts = asked.split("/")
    for name, process in processes.items():
        step = next((step for step in _steps(process) if step in parts), None)
        if step is not None:
            workflow = f"{whole}#{name}" if "$graph" in root else whole
            return DocumentError(
                f"{document}: {step!r} is a step of a workflow, not a process by itself.",
                hint=f"`cwl-prefect run --single-step {step} {workflow}` runs it alone.",
            )
    if "$graph" in root:
        hint = did_you_mean(asked, processes, otherwise="it has:")
    else:
        hint = f"leave out '#{asked}': the document is one process."
    return DocumentError(f"{document}: it has no process {asked!r}.", hint=hint)


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return "a list"
    return "a text" if isinstance(value, str) else f"a {type(value).__name__}"
