"""Where results go: a directory of this machine, or a place of object storage or of a server, by its URL."""

import re
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from cwl_prefect._lib.locations import REMOTE_SCHEMES, WEB_SCHEMES, scheme_of, shown_url

Destination: TypeAlias = Path | str
"""A directory as a path; any other place as the URL of what all names there begin with, without a slash at its end."""

WRITABLE = REMOTE_SCHEMES - WEB_SCHEMES
"""Schemes of URLs that results can go to."""

NO_URL = "only directories of this machine can be written; name one, and copy from there"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(/?)")  # pathlib leaves one slash of two
_LISTED = ", ".join(f"{scheme}://" for scheme in sorted(WRITABLE))
_REASONS = {
    "file": "it is a URL of this machine",
    "http": "web servers are only read from",
    "https": "web servers are only read from",
}


def names_url(place: str | Path) -> bool:
    """Check whether what may be a path is a URL; as a path it would be a directory named after its scheme."""
    return _url_of(place) is not None


def destination_of(place: str | Path) -> Destination:
    """Read where results are to go.

    Args:
        place: A path, or a URL; ``Path("s3://bucket/out")``, which has lost a slash, is one too.

    Raises:
        ValueError: Results cannot go to that URL, or it holds a password or a signature; the text says why.
    """
    url = _url_of(place)
    if url is None:
        return Path(place)
    if (problem := _problem(scheme_of(url), url)) is not None:
        raise ValueError(problem)
    return url.rstrip("/")


def without_login(place: str) -> str:
    """Return a place as people may be shown it: a URL without user, password and signature."""
    url = _url_of(place)
    return place if url is None else shown_url(url)


def below(destination: Destination, name: str) -> Destination:
    """Return the place of something by its name, or relative path, at a destination.

    Names are taken as they are, as object stores and file systems of fsspec take them: ``s3://bucket/a b.txt``.
    """
    if isinstance(destination, Path):
        return destination / name
    return f"{destination}/{name}"


def _url_of(place: str | Path) -> str | None:
    """Return a place as a URL with both of its slashes; None where it is a path."""
    found = _SCHEME.match(str(place))
    return None if found is None else f"{found[1]}://{str(place)[found.end() :]}"


def _problem(scheme: str, url: str) -> str | None:
    if scheme not in WRITABLE:
        return f"{_REASONS.get(scheme, 'no such URL can be written to')}; name a directory, or a URL of {_LISTED}"
    try:
        split = urlsplit(url)
        host, password, query = split.hostname, split.password, split.query or split.fragment
    except ValueError:
        return "it is no URL"
    if password is not None:
        return "it holds a password, which would be recorded; leave it out and give credentials as the provider's do"
    if query:
        return "it has a query or fragment, which may be a signature; name only the place"
    return None if host else f"it names no bucket or host; write it as {scheme}://NAME/PREFIX"
