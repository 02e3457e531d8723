"""Job orders where they lie: files of this machine, URLs and the standard input."""

import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event

from cwl_prefect._lib.locations import is_remote, joined, shown_url
from cwl_prefect._lib.uris import directory_uri, path_of
from cwl_prefect.cwl.binding.inputs import parse_job_order, place_of_input, resolve_files
from cwl_prefect.cwl.values.type_errors import shown
from cwl_prefect.errors import Fault, InputError
from cwl_prefect.model.values import REFERENCE, CwlObject, as_object
from cwl_prefect.storage.downloads import installed

_OF_INPUT = re.compile(r"  input ([^:]+): ")
LARGEST_JOB_ORDER = 64 * 1024 * 1024  # bytes; as JSON this takes seconds to read


def load_job_order(source: str | Path) -> CwlObject:
    """Read a job order from a YAML or JSON file or URL; relative paths in it start from its directory.

    What it refers to by ``$ref`` is read too.

    Raises:
        InputError: It cannot be read or is not a mapping.
        StorageError: It lies at a URL and cannot be read.
    """
    text, base = read_text(source)
    return _whole(_order(text, base, shown_name(source)), base)


def received_job_order() -> CwlObject:
    """Read a job order from the standard input; relative paths in it start from the current directory.

    Raises:
        InputError: It cannot be read or is not a mapping.
    """
    name, base = "standard input", directory_uri(Path.cwd())
    return _whole(_order(_decoded(sys.stdin.buffer.read(LARGEST_JOB_ORDER + 1), name), base, name), base)


def referred(order: Mapping[str, object], base: str) -> tuple[CwlObject, dict[str, object]]:
    """Return the values of the job order that another refers to, none where it refers to none, and its own values.

    Args:
        order: A job order, or the parameters of a flow run, with or without ``$ref``.
        base: URI of the directory that a relative path starts from, with a final slash.

    Raises:
        InputError: It is no path or URL, cannot be read, is not a mapping, or refers to another.
        StorageError: It lies at a URL and cannot be read.
    """
    own = {name: value for name, value in order.items() if name != REFERENCE}
    place = reference_of(order, base)
    if place is None:
        return {}, own
    text, directory = read_text(place)
    found = _order(text, directory, shown_name(place))
    if REFERENCE in found:
        raise InputError(
            f"{shown_name(place)}: it refers to another job order, and is one that was referred to.",
            hint=f"Name the other one by {REFERENCE} in place of it.",
        )
    return found, own


def reference_of(order: Mapping[str, object], base: str) -> str | None:
    """Return the location that a job order refers to, made absolute; None where it refers to none.

    Raises:
        InputError: It is no path or URL.
    """
    place = order.get(REFERENCE)
    if place is None:
        return None
    if not isinstance(place, str | Path) or not str(place):
        raise InputError(
            f"{REFERENCE}: expected the path or URL of a job order, found {shown(place)}.",
            hint=f'Write it as in {{"{REFERENCE}": "s3://bucket/job.yml"}}.',
        )
    return str(as_object(resolve_files({"class": "File", "path": str(place)}, base, {}))["location"])


def reference_in(source: str | Path) -> str | None:
    """Return the location that a job order in a file refers to, made absolute; None where it refers to none.

    Raises:
        InputError: It cannot be read, is not a mapping, or what it refers to is no path or URL.
    """
    text, base = read_text(source)
    return reference_of(parse_job_order(text, source=shown_name(source)), base)


def shown_name(source: str | Path) -> str:
    """Return how people are told of a job order: a URL without what may be secret in it."""
    return shown_url(str(source)) if is_remote(str(source)) else str(source)


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
            text, called = read_text(path)[0], str(source)
            place = place_of_input(text, name, called)
            if place is not None:
                error.put(place)
            first, *others = error.faults[0].text.split("\n")
            error.faults = (replace(error.faults[0], text=first), *(_fault(line, text, called) for line in others))
            error.message = "\n".join(map(str, error.faults))
        raise


def _fault(line: str, text: str, called: str) -> Fault:
    """Return what a further line of an error says, with the place of the input that it is of."""
    found = _OF_INPUT.match(line)
    return Fault(text=line.strip(), place=None if found is None else place_of_input(text, found[1], called))


def is_elsewhere(source: str | Path) -> bool:
    """Check whether a job order is a file that is not on this machine; URLs are for every machine."""
    path = _path(source)
    return path is not None and not os.path.exists(path)  # noqa: PTH110 - Path.exists fails below what is forbidden


def _order(text: str, base: str, name: str) -> CwlObject:
    parsed = parse_job_order(text, source=name)
    namespaces = parsed.get("$namespaces")
    prefixes = {str(key): str(uri) for key, uri in namespaces.items()} if isinstance(namespaces, dict) else {}
    return as_object(resolve_files(parsed, base, prefixes))


def _whole(order: CwlObject, base: str) -> CwlObject:
    """Return a job order with what it refers to."""
    if REFERENCE not in order:
        return order
    found, own = referred(order, base)
    return {**found, **as_object(own)}


def resolved_order(values: CwlObject, directory: Path) -> CwlObject:
    """Make a job order of values whose relative paths start from a directory."""
    return as_object(resolve_files(values, directory_uri(directory), {}))


def read_text(source: str | Path) -> tuple[str, str]:
    """Read a job order's text and give the URI of its directory, with a final slash.

    Raises:
        InputError: It cannot be read.
    """
    name = str(source)
    path = _path(source)
    if path is None:
        return _decoded(_fetched(name), shown_name(name)), joined(name, ".")
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_JOB_ORDER + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{name}: {reason}.", hint="Check the path of the job order.") from error
    return _decoded(content, name), directory_uri(path.absolute().parent)


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
