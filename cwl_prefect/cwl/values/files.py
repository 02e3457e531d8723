"""File and Directory objects, and what lies at their locations (CWL CommandLineTool, §File, §Directory)."""

import errno
import os
import stat
import uuid
from collections.abc import Callable
from contextlib import suppress
from threading import Event
from typing import Any

from cwl_prefect._lib.locations import is_remote, name_of, shown_url
from cwl_prefect._lib.uris import file_uri, path_of
from cwl_prefect.errors import InputError, StepError
from cwl_prefect.model.values import MOST_NESTED, TOO_DEEP, CwlObject
from cwl_prefect.storage.downloads import installed

CONTENT_LIMIT = 64 * 1024  # bytes (CWL CommandLineTool, §loadContents)
_MOST_LINKS = 40


def map_files(value: Any, change: Callable[[CwlObject], Any]) -> Any:
    """Copy a value with every outermost File and Directory replaced; what holds none is not copied."""
    if isinstance(value, list):
        found = [map_files(item, change) for item in value]
        return found if any(new is not old for new, old in zip(found, value, strict=True)) else value
    if not isinstance(value, dict):
        return value
    if value.get("class") in ("File", "Directory"):
        return change(value)
    inner = {key: map_files(item, change) for key, item in value.items()}
    return inner if any(inner[key] is not value[key] for key in inner) else value


def settled(found: CwlObject) -> CwlObject:
    """Return a File or Directory with location and names, and the same for all within.

    A literal gets a location of its own, by which it is known from then on.

    Raises:
        StepError: It has neither a location nor contents or a listing.
    """
    changed: CwlObject = dict(found)
    is_directory = found["class"] == "Directory"
    path = changed.pop("path", None)
    location = changed.get("location", path)
    if not isinstance(location, str):
        if location is not None:
            raise StepError(f"path: expected string, found {location}.", hint=f"Put it in quotes: path: '{location}'.")
        _demand_literal(changed)
        location = f"_:{uuid.uuid4()}"
    elif location.startswith("_:"):
        _demand_literal(changed)
    elif is_directory and location.endswith("/") and len(location) > 1:
        location = location.rstrip("/")
    elif location.endswith("/"):
        raise StepError(f"the location {location} ends with a slash, which that of a File does not.")
    changed["location"] = location
    changed["basename"] = str(changed.get("basename") or _last_part(location))
    if not is_directory:
        changed |= _name_parts(str(changed["basename"]))
    for field in ("secondaryFiles", "listing"):
        if isinstance(inner := changed.get(field), list):
            changed[field] = [settled(item) for item in inner]  # type: ignore[arg-type]  # checked by their type
    return changed


def basename_of(found: CwlObject) -> str:
    """Return the name of a File or Directory as it is said, or as the last part of where it lies says it."""
    return str(found.get("basename") or _last_part(str(found.get("location") or found.get("path") or "_:")))


def named(found: CwlObject, basename: str) -> CwlObject:
    """Return a File or Directory under another name."""
    parts = _name_parts(basename) if found["class"] == "File" else {}
    return {**found, "basename": basename, **parts}


def is_literal(found: CwlObject) -> bool:
    """Check whether a File or Directory lies nowhere but in its own object."""
    return str(found.get("location", "_:")).startswith("_:")


def local_path(location: str, *, directory: bool = False) -> str:
    """Return the path on this machine of what lies at a location, fetched where it lies elsewhere.

    Raises:
        InputError: Nothing reads locations of this kind.
        StorageError: It cannot be fetched.
    """
    if is_remote(location) or (directory and installed().stages(location)):
        downloads, stop = installed(), Event()
        return str(downloads.tree(location, stop) if directory else downloads.file(location, stop).path)
    path = path_of(location)
    if path is None:
        raise InputError(
            f"{shown_url(location)}: locations of this kind cannot be read.", hint="Give the path of a local copy."
        )
    return str(path)


def followed(path: str) -> str:
    """Return where a path leads once it is no link itself.

    Raises:
        OSError: There is nothing.
    """
    for _ in range(_MOST_LINKS):
        if not stat.S_ISLNK(os.lstat(path).st_mode):
            return path
        path = os.path.join(os.path.dirname(path), os.readlink(path))  # noqa: PTH118, PTH120, PTH115 - cheaper
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def contents_of(path: str, name: str) -> str:
    """Return the text of a file.

    Raises:
        OSError: It cannot be read.
        StepError: It is larger than CWL allows, or no text.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(descriptor, "rb") as stream:  # noqa: PTH123 - a descriptor
        content = stream.read(CONTENT_LIMIT + 1)
    if len(content) > CONTENT_LIMIT:
        raise StepError(
            f"{name} is too large for loadContents, which takes at most {CONTENT_LIMIT // 1024} KiB.",
            hint="Let a tool read the file instead of an expression.",
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise StepError(f"{name} is no text in UTF-8, as loadContents needs.") from error


def listing_of(found: CwlObject, *, deep: bool) -> CwlObject:
    """Return a Directory with what it holds, each with a location, if it has no listing yet.

    Raises:
        OSError: It cannot be read.
    """
    if "listing" in found:
        return found
    return {**found, "listing": _entries(local_path(str(found["location"]), directory=True), deep=deep)}


def with_listings(value: Any, *, deep: bool) -> Any:
    """Return a value in which every Directory, wherever it is, has a listing."""

    def listed(found: CwlObject) -> CwlObject:
        """Return a Directory with its listing, and a File as it is."""
        if found["class"] == "Directory":
            return found if is_literal(found) else listing_of(found, deep=deep)
        return found

    return map_files(value, listed)


def _entries(path: str, *, deep: bool, depth: int = 1) -> list[Any]:
    if depth > MOST_NESTED:
        raise InputError(f"{path}: {TOO_DEEP}.", hint="Give a directory with fewer directories in each other.")
    with os.scandir(path) as scanned:
        return [_entry(found, deep=deep, depth=depth) for found in sorted(scanned, key=lambda entry: entry.name)]


def _entry(found: "os.DirEntry[str]", *, deep: bool, depth: int) -> CwlObject:
    about: CwlObject = {"location": file_uri(found.path), "basename": found.name}
    if found.is_dir():
        inner: CwlObject = {"listing": _entries(found.path, deep=deep, depth=depth + 1)} if deep else {}
        return {"class": "Directory", **about, **inner}
    with suppress(OSError):  # a link that leads nowhere has no size
        about["size"] = found.stat().st_size
    return {"class": "File", **about, **_name_parts(found.name)}


def _demand_literal(found: CwlObject) -> None:
    if found["class"] == "File" and not isinstance(found.get("contents"), str):
        raise StepError(
            "a File needs a path or location, or contents; it has none of them.",
            hint="Write {class: File, path: PATH}, or give it contents and a basename.",
        )
    if found["class"] == "Directory" and not ("listing" in found and "basename" in found):
        raise StepError(
            "a Directory needs a path or location, or a listing and a basename; it has neither.",
            hint="Write {class: Directory, path: PATH}, or give it a listing and a basename.",
        )


def _last_part(location: str) -> str:
    if location.startswith("_:"):
        return location[2:]
    path = path_of(location)
    return path.name if path is not None else name_of(location)


def _name_parts(basename: str) -> dict[str, Any]:
    root, extension = os.path.splitext(basename)  # noqa: PTH122 - as the specification splits names
    return {"nameroot": root, "nameext": extension}
