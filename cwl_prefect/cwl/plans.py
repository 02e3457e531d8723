"""Compiled plans between runs: a second run of an unchanged document loads no schema.

An entry names every file that the compiler read, with its SHA-256; it holds while all of them are as they were.
"""

import hashlib
import json
import os
import re
import urllib.parse
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cwl_prefect.errors import DocumentError
from cwl_prefect.model.plan import PLAN_FORMAT, WorkflowPlan, decode_plan, encode_plan
from cwl_prefect.whole_file import write_whole

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
        return decode_plan(text)
    except (ValueError, ValidationError) as error:
        raise DocumentError(
            f"{document}: this is not a plan of this version.",
            hint="Compile the CWL document again with `cwl-prefect compile`.",
        ) from error


def cached_plan(document: str, directory: Path) -> WorkflowPlan:
    """Give the plan of a document from the cache, or compile it and keep it there.

    A damaged or outdated entry is compiled anew; a cache that cannot be written is done without.

    Raises:
        DocumentError: The document cannot be read or is not valid CWL.
    """
    entry = directory / f"{_key(document)}.json"
    found = _read(entry)
    if found is not None:
        return found
    from cwl_prefect.cwl.compile import compile_process
    from cwl_prefect.cwl.load import load_recorded, translated_errors

    process, urls = load_recorded(document)
    with translated_errors(document):
        plan = compile_process(process, origin=document)
    files = [_local_path(url) for url in urls]
    if all(files):
        _write(entry, plan, [path for path in files if path is not None])
    return plan


def _key(document: str) -> str:
    path, separator, fragment = document.partition("#")
    place = os.path.abspath(path) if not urllib.parse.urlsplit(document).scheme else path  # noqa: PTH100 - keeps links
    parts = [place, separator, fragment, str(PLAN_FORMAT), *(f"{name}={version(name)}" for name in _COMPILERS)]
    return hashlib.sha256("\0".join([*parts, _own_sources()]).encode()).hexdigest()


@cache
def _own_sources() -> str:
    """Tell this compiler from any other, released or being worked on."""
    found = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        found.update(source.read_bytes())
    return found.hexdigest()


def _read(entry: Path) -> WorkflowPlan | None:
    try:
        header, _, body = entry.read_bytes().partition(b"\n")
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
        entry.parent.mkdir(parents=True, exist_ok=True)
        write_whole(entry, json.dumps(manifest).encode() + b"\n" + body)
    except OSError:
        return


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _local_path(url: str) -> Path | None:
    parts = urllib.parse.urlsplit(url)
    return Path(urllib.parse.unquote(parts.path)) if parts.scheme == "file" else None
