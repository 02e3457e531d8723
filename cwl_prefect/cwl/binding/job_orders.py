"""Job orders where they lie: files of this machine, URLs and the standard input."""

import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from cwl_prefect._lib.locations import is_remote, joined, shown_url
from cwl_prefect._lib.uris import path_of
from cwl_prefect.cwl.binding.inputs import parse_job_order, place_of_input, resolve_files
from cwl_prefect.errors import InputError
from cwl_prefect.model.values import CwlObject, as_object
from cwl_prefect.storage.downloads import installed

LARGEST_JOB_ORDER = 64 * 1024 * 1024  # bytes; as JSON this takes seconds to read


def load_job_order(source: str | Path) -> CwlObject:
    """Read a job order from a YAML or JSON file or URL; relative paths in it start from its directory.

    Raises:
        InputError: It cannot be read or is not a mapping.
    """
    text, base = read_text(source)
    return _order(text, base, str(source))


def received_job_order() -> CwlObject:
    """Read a job order from the standard input; relative paths in it start from the current directory.

    Raises:
        InputError: It cannot be read or is not a mapping.
    """
    name = "standard input"
    return _order(_decoded(sys.stdin.buffer.read(LARGEST_JOB_ORDER + 1), name), f"{Path.cwd().as_uri()}/", name)


@contextmanager
def places_in(source: str | Path | None, besides: Collection[str] = ()) -> Iterator[None]:
    """Put the place of the input that an error is of before its text, where a job order on this machine gives it.

    Args:
        source: The job order, if there is one.
        besides: Inputs that something else gives.
    """
    try:
        yield
    except InputError as error:
        name = next((part.removeprefix("input ") for part in error.parts if part.startswith("input ")), None)
        path = None if source is None else _path(source)
        if name is not None and path is not None and path.is_file() and name not in besides:
            place = place_of_input(read_text(path)[0], name, str(source))
            if place is not None:
                error.put(place)
        raise


def is_elsewhere(source: str | Path) -> bool:
    """Check whether a job order is a file that is not on this machine; URLs are for every machine."""
    path = _path(source)
    return path is not None and not os.path.exists(path)  # noqa: PTH110 - Path.exists fails below what is forbidden


def _order(text: str, base: str, name: str) -> CwlObject:
    parsed = parse_job_order(text, source=name)
    namespaces = parsed.get("$namespaces")
    prefixes = {str(key): str(uri) for key, uri in namespaces.items()} if isinstance(namespaces, dict) else {}
    return as_object(resolve_files(parsed, base, prefixes))


def resolved_order(values: CwlObject, directory: Path) -> CwlObject:
    """Make a job order of values whose relative paths start from a directory."""
    return as_object(resolve_files(values, f"{directory.as_uri()}/", {}))


def read_text(source: str | Path) -> tuple[str, str]:
    """Read a job order's text and give the URI of its directory, with a final slash.

    Raises:
        InputError: It cannot be read.
    """
    name = str(source)
    path = _path(source)
    if path is None:
        return _decoded(_fetched(name), shown_url(name)), joined(name, ".")
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_JOB_ORDER + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{name}: {reason}.", hint="Check the path of the job order.") from error
    return _decoded(content, name), f"{path.absolute().parent.as_uri()}/"


def _path(source: str | Path) -> Path | None:
    """Return the path of a job order, or None where it is fetched."""
    return None if is_remote(str(source)) else path_of(str(source)) or Path(source)


def _fetched(url: str) -> bytes:
    """Return the beginning of what lies at a URL, as long as a job order may be and one byte more.

    Raises:
        StorageError: It cannot be read.
    """
    with installed().file(url, Event()).path.open("rb") as stream:
        return stream.read(LARGEST_JOB_ORDER + 1)


def _decoded(content: bytes, name: str) -> str:
    if len(content) > LARGEST_JOB_ORDER:
        raise InputError(
            f"{name}: it is larger than a job order may be, {LARGEST_JOB_ORDER // 2**20} MiB.",
            hint="Give the values in a file, which the workflow reads.",
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: the job order is not a text in UTF-8.") from error
