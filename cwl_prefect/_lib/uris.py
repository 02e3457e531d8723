"""Paths of this machine as the locations of files, and back: one reading for everybody."""

from pathlib import Path
from urllib.parse import quote, unquote

from cwl_prefect._lib.locations import is_url

_HOSTS_OF_HERE = frozenset({"", "localhost"})


def file_uri(path: Path | str) -> str:
    """Return the ``file://`` URI of an absolute path, also of one whose bytes are no text."""
    return "file://" + quote(str(path), safe="/", errors="surrogateescape")


def spellings(path: str) -> frozenset[str]:
    """Return how a path may be written in a text: as it is, and as in a URI."""
    return frozenset((path, file_uri(path).removeprefix("file://")))


def directory_uri(directory: Path) -> str:
    """Return the ``file://`` URI of an absolute directory with a final slash, from which relative ones start."""
    return f"{file_uri(directory).rstrip('/')}/"


def path_of(location: str) -> Path | None:
    """Return the path that a location names on this machine; None for literals and for what lies elsewhere.

    A plain path is taken as it is. In a ``file:`` URI ``#`` and ``?`` are part of the name: a File is no part of a
    document and no query.
    """
    if location.startswith("_:"):
        return None
    if not location.startswith("file:"):
        return None if is_url(location) else Path(location)
    quoted = location.removeprefix("file:")
    if quoted.startswith("//"):
        host, slash, rest = quoted[2:].partition("/")
        if host not in _HOSTS_OF_HERE:
            return None
        quoted = slash + rest
    return Path(unquote(quoted, errors="surrogateescape"))


def is_elsewhere(location: str) -> bool:
    """Check whether a location is an address that is not of this machine, rather than a path or a literal's name."""
    return not location.startswith("_:") and path_of(location) is None
