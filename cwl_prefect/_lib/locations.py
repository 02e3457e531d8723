"""Which locations lie elsewhere and can be reached, and how their URLs may be shown."""

import re
import socket
import unicodedata
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import quote, unquote, urljoin, urlsplit

WEB_SCHEMES = frozenset({"http", "https"})
REMOTE_SCHEMES = WEB_SCHEMES | {"s3", "gs", "az", "abfs", "abfss", "ftp", "sftp"}
ZENODO = "zenodo:"
"""What the name of a file in a record of Zenodo begins with: ``zenodo:RECORD/FILE``, without slashes before it."""

_BY_HTTP = WEB_SCHEMES | {"zenodo"}
_READABLE = REMOTE_SCHEMES | {"zenodo", "drs"}
_CONTAINER_SCHEMES = frozenset({"abfs", "abfss"})  # container@account: what stands before @ is no user
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]*://")  # with colons where one is behind another, as simplecache::s3://
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")  # RFC 3986, §3.1
_KEPT = "!#$%&'()*+,/:;=?@[]~"  # what a URL holds as it is (RFC 3986, §2)


def scheme_of(location: str) -> str:
    """Return the scheme of a location in lower case; an empty text for a path and for what is no URL."""
    if location.startswith(ZENODO):
        return ZENODO[:-1]
    scheme, separator, _ = location.partition("://")
    return scheme.lower() if separator and _SCHEME.fullmatch(scheme) else ""


def is_url(location: str) -> bool:
    """Check whether a location is a URL of any scheme, or a name that stands for one, rather than a path."""
    return location.startswith(ZENODO) or _URL.match(location) is not None


def is_remote(location: str) -> bool:
    """Check whether a location is a URL that :mod:`cwl_prefect.storage` reads, or a name that stands for one."""
    return scheme_of(location) in _READABLE


def is_web(location: str) -> bool:
    """Check whether a location is fetched by HTTP, which knows no directories."""
    return scheme_of(location) in _BY_HTTP


def host_of(url: str) -> str:
    """Return the host of a URL as whoever connects reads it; an empty text where there is none."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return ""
    return unicodedata.normalize("NFKC", unquote(host)).rstrip(".")


def is_inner(host: str) -> bool:
    """Check whether a host is this machine or an address of a network of its own, in any spelling of the number.

    Other names are not resolved.
    """
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = IPv6Address(host.partition("%")[0]) if ":" in host else IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return False
    return not ((isinstance(address, IPv6Address) and address.ipv4_mapped) or address).is_global


def shown_url(url: str) -> str:
    """Return a URL as it may be shown: without user, password, and query, where signatures and tokens are."""
    before, separator, rest = url.partition("://")
    if not separator:
        shown, mark, _ = url.partition("?")
        return f"{shown}{'?…' if mark else ''}"
    scheme, (host, slash, path) = scheme_of(url) or before, rest.partition("/")  # several, where one is behind another
    if scheme not in _CONTAINER_SCHEMES or ":" in host.partition("@")[0]:
        host = host.rpartition("@")[2]
    shown, mark, _ = f"{host}{slash}{path}".partition("?")
    return f"{scheme}://{shown}{'?…' if mark else ''}"


def beside(url: str, name: str) -> str:
    """Return the URL of what has this name in the directory of a URL; a query stays, as it may hold the right to read.

    Names in object stores are taken as they are, those of web addresses are quoted.
    """
    place, mark, query = url.partition("?")
    return f"{place.rpartition('/')[0]}/{quote(name) if is_web(url) else name}{mark}{query}"


def joined(base: str, reference: str) -> str:
    """Return what a relative or whole URL means that stands in what lies at another (RFC 3986, §5)."""
    scheme = scheme_of(base)
    if scheme_of(reference) == "zenodo":
        return reference
    if scheme == "zenodo" and ":" not in reference:
        return f"{ZENODO}{urljoin(base[len(ZENODO) :], reference)}"
    if scheme not in REMOTE_SCHEMES or is_web(base) or ":/" in reference:
        return urljoin(base, reference)
    found = urljoin(f"http{base[len(scheme) :]}", reference)  # urllib resolves for the schemes that it knows alone
    return f"{scheme}{unquote(found.removeprefix('http'))}"


def name_of(url: str) -> str:
    """Return the last part of a URL's path, as a file that is fetched from there is called."""
    name = url.partition("?")[0].rstrip("/").rpartition("/")[2]
    return unquote(name.partition("#")[0]) if is_web(url) else name


def quoted(url: str) -> str:
    """Return a web address with the characters quoted that none may hold."""
    return quote(url, safe=_KEPT)
