"""Values whose files lie elsewhere, as values whose files lie here."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

from cwl_prefect._lib.locations import is_remote, name_of, shown_url
from cwl_prefect._lib.uris import file_uri, path_of
from cwl_prefect.errors import CwlPrefectError, InputError
from cwl_prefect.model.values import CwlObject, CwlValue, file_objects, map_file_objects
from cwl_prefect.storage.downloads import Download, Downloads, in_parallel, own_file

_SHA1 = "sha1$"


def names_remote(value: CwlValue, *, catalogs: bool) -> bool:
    """Check whether a File or Directory anywhere in a value is to be fetched.

    Args:
        value: The value.
        catalogs: Whether a Directory at a document of this machine is its catalog, which takes a look at each.
    """
    return any(
        is_remote(_location(found))
        or (catalogs and found["class"] == "Directory" and own_file(_location(found)) is not None)
        for found in file_objects(value)
    )


def fetched(
    values: CwlObject, downloads: Downloads, stop: Event, tell: Callable[[Path, str | None], None]
) -> CwlObject:
    """Return inputs with every File and Directory that lies at a URL fetched, in parallel, each URL once.

    Args:
        values: Inputs of a workflow or call; errors name the one that they are of.
        downloads: Where what is fetched is kept.
        stop: Set once nobody waits for it any more.
        tell: Is told the path of each file and directory here, and the checksum of a file.

    Raises:
        UsageError: No file system takes a URL, or its package is not installed.
        StorageError: Something cannot be read or stored.
        InputError: A file has not the checksum that its object gives.
        StoppedError: Nobody waits for it.
    """
    wanted = _wanted(values, downloads)

    def get(place: tuple[str, str]) -> Download | Path:
        """Return what lies at a place, here."""
        url, kind = place
        with _errors_of(wanted[place]):
            return downloads.tree(url, stop) if kind == "Directory" else downloads.file(url, stop)

    found = in_parallel(get, wanted, stop)
    for there in found.values():
        if isinstance(there, Download):
            tell(there.path, there.checksum)
        else:
            tell(there, None)

    def here(given: CwlObject) -> CwlObject:
        """Return a File or Directory as it lies here, or as it is."""
        there = found.get((_location(given), str(given["class"])))
        return given if there is None else _placed(given, there)

    def local(name: str, value: CwlValue) -> CwlValue:
        """Return an input of which everything lies here."""
        with _errors_of(name):
            return map_file_objects(value, here)

    return {name: local(name, value) for name, value in values.items()}


def _wanted(values: CwlObject, downloads: Downloads) -> dict[tuple[str, str], str]:
    """Return the first input of which each File and Directory is that is to be fetched, by location and class."""
    wanted: dict[tuple[str, str], str] = {}
    for name, value in values.items():
        for each in file_objects(value):
            place = _location(each), str(each["class"])
            if is_remote(place[0]) or (place[1] == "Directory" and downloads.stages(place[0])):
                wanted.setdefault(place, name)
    return wanted


@contextmanager
def _errors_of(name: str) -> Iterator[None]:
    try:
        yield
    except CwlPrefectError as error:
        part = f"input {name}"
        named = error.naming(part)
        named.parts = (part, *error.parts)
        raise named from error


def _location(found: CwlObject) -> str:
    location = found.get("location") or found.get("path")
    return location if isinstance(location, str) else ""


def _placed(given: CwlObject, there: Download | Path) -> CwlObject:
    """Return a File or Directory as it lies here, by the name that it had there."""
    url = _location(given)
    kept = {name: item for name, item in given.items() if name != "path"}
    own = path_of(url)
    kept["basename"] = given.get("basename") or (name_of(url) if own is None else own.name)
    if isinstance(there, Path):
        return {**kept, "location": file_uri(there)}
    expected = given.get("checksum")
    if isinstance(expected, str) and expected.startswith(_SHA1) and expected != there.checksum:
        raise InputError(
            f"{shown_url(url)}: its checksum is {there.checksum}, expected {expected}.",
            hint="Correct the checksum in the File object, or ask for the file that it is of.",
        )
    with suppress(OSError):
        kept["size"] = there.path.stat().st_size
    return {**kept, "location": file_uri(there.path)}
