"""Compiled plans between runs: a second run of an unchanged document loads no schema.

An entry names every file that the compiler read, with its SHA-256; it holds while all of them are as they were.
"""

import hashlib
import json
import os
import re
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import JsonValue, ValidationError

from cwl_prefect._lib.atomic_write import write_whole
from cwl_prefect._lib.locations import is_url
from cwl_prefect._lib.own_files import make_private, read_own
from cwl_prefect._lib.uris import path_of
from cwl_prefect.cwl.access.host_files import is_untrusted
from cwl_prefect.errors import DocumentError
from cwl_prefect.model.overrides import OVERRIDES
from cwl_prefect.model.plan import WorkflowPlan, decode_plan, encode_plan
from cwl_prefect.model.plan_formats import PLAN_FORMAT

_COMPILERS = ("cwltool", "schema-salad")
_PLAN = re.compile(rb'\s*\{\s*"kind"\s*:\s*"workflow"')


def read_plan(document: str | Path) -> WorkflowPlan | None:
    """Read a plan that was written to a file, or give None where the file is something else.

    Raises:
        DocumentError: It is a plan, but damaged or of another version.
    """
    path = Path(document)
    if path.suffix != ".json" or not path.is_file():
        return None
    try:
        text = path.read_bytes()
    except OSError:
        return None  # loading it as a document says why
    if not _PLAN.match(text):
        return None
    try:
        found = decode_plan(text)
    except (ValueError, ValidationError) as error:
        raise DocumentError(
            f"{document}: this is not a plan of this version.",
            hint="Compile the CWL document again with `cwl-prefect compile`.",
        ) from error
    return found if is_untrusted(found) else replace(found, origin=str(path.absolute()))


def loaded_plan(
    document: str,
    job_order: Mapping[str, JsonValue] | None,
    directory: Path | None,
    *,
    untrusted: bool = False,
) -> WorkflowPlan:
    """Return the plan of a document, or the plan that it is, compiled where no kept one holds.

    Args:
        document: Path or URL.
        job_order: A job order whose requirements apply; with any, nothing is cached.
        directory: Where plans are kept; None: nowhere.
        untrusted: Whether what the document refers to may not be in the network of this machine.

    Raises:
        DocumentError: It cannot be read or is not valid CWL.
    """
    plan = read_plan(document)
    if plan is not None:
        return plan
    overridden = job_order is not None and not OVERRIDES.isdisjoint(job_order)
    if overridden or directory is None:
        return compiled_plan(document, job_order, untrusted=untrusted)
    return cached_plan(document, directory, untrusted=untrusted)


def compiled_plan(document: str, job_order: Mapping[str, JsonValue] | None, *, untrusted: bool = False) -> WorkflowPlan:
    """Compile a document.

    Raises:
        DocumentError: It cannot be read or is not valid CWL.
    """
    from cwl_prefect.cwl.loading.compile import compile_process
    from cwl_prefect.cwl.loading.load import load_process, translated_errors
    from cwl_prefect.cwl.loading.reading import Reading

    process = load_process(document, defaults=job_order, reading=Reading(untrusted=untrusted))
    with translated_errors(document):
        plan = compile_process(process, origin=document)
    return plan if not job_order else replace(plan, as_written=False)


def cached_plan(document: str, directory: Path, *, untrusted: bool = False) -> WorkflowPlan:
    """Return the plan of a document from the cache, or compile it and keep it there.

    A damaged or outdated entry is compiled anew; a cache that cannot be written is done without.

    Raises:
        DocumentError: The document cannot be read or is not valid CWL.
    """
    entry = directory / f"{_key(document)}.json"
    found = _read(entry)
    if found is not None:
        return replace(found, origin=document)
    from cwl_prefect.cwl.loading.compile import compile_process
    from cwl_prefect.cwl.loading.load import load_recorded, translated_errors

    process, urls = load_recorded(document, untrusted=untrusted)
    with translated_errors(document):
        plan = compile_process(process, origin=document)
    files = [path_of(urllib.parse.urldefrag(url).url) for url in urls]
    if all(files):
        _write(entry, plan, [path for path in files if path is not None])
    return plan


def documents_of(document: str, directory: Path) -> tuple[Path, ...]:
    """Return the files that the cached plan of a document was compiled from; none where no plan is cached."""
    try:
        header, _, _ = read_own(directory / f"{_key(document)}.json").partition(b"\n")
        return tuple(map(Path, json.loads(header)["files"]))
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def _key(document: str) -> str:
    path, separator, fragment = document.partition("#")
    place = os.path.abspath(path) if not is_url(document) else path  # noqa: PTH100 - keeps links
    parts = [place, separator, fragment, _COMPILER]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def _compiler() -> str:
    """Return what tells this compiler from any other, released or being worked on."""
    sources = hashlib.sha256()
    for source in sorted(Path(__file__).parents[1].rglob("*.py")):
        sources.update(source.read_bytes())
    return "\0".join([str(PLAN_FORMAT), *(f"{name}={version(name)}" for name in _COMPILERS), sources.hexdigest()])


_COMPILER = _compiler()  # when this is imported, which a process that stands by has done before


def _read(entry: Path) -> WorkflowPlan | None:
    try:
        header, _, body = read_own(entry).partition(b"\n")
        manifest: dict[str, Any] = json.loads(header)
        if hashlib.sha256(body).hexdigest() != manifest["plan"]:
            return None
        if any(_digest(Path(path)) != digest for path, digest in manifest["files"].items()):
            return None
        return decode_plan(body)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write(entry: Path, plan: WorkflowPlan, files: Iterable[Path]) -> None:
    body = encode_plan(plan)
    try:
        manifest = {
            "plan": hashlib.sha256(body).hexdigest(),
            "files": {str(path): _digest(path) for path in sorted(set(files))},
        }
        make_private(entry.parent)
        write_whole(entry, json.dumps(manifest).encode() + b"\n" + body)
    except OSError:
        return


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
