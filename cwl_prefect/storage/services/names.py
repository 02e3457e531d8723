"""Names that stand for a URL: files of records of Zenodo, and objects of data repository services (GA4GH DRS)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from pydantic import BaseModel

from cwl_prefect._lib.locations import scheme_of, shown_url
from cwl_prefect.errors import StorageError, UsageError
from cwl_prefect.storage.services.answers import answer

ZENODO_FILE = "https://zenodo.org/records/{record}/files/{file}?download=1"
DRS_OBJECT = "https://{host}/ga4gh/drs/v1/objects/{id}"
_WHAT = "description of an object by GA4GH DRS"

_ZENODO = re.compile(r"zenodo:(?P<record>\d+)/(?P<file>[^?#]+)")
_DRS = re.compile(r"drs://(?P<host>[^/:?#@]+)/(?P<id>[^:?#]+)", re.IGNORECASE)
_TARGETS = ("https", "http", "s3", "gs", "az")  # the first that an object has is read
_ALGORITHMS = {"sha512": 128, "sha256": 64, "sha1": 40, "md5": 32}  # digits of their checksums, the best first


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a name stands for.

    Attributes:
        url: Where the file lies.
        size: Its bytes, where they are known.
        digest: Algorithm of :mod:`hashlib` and checksum in hexadecimal digits, where it is known.
        told_at: Where a service was asked that told it; None where a person did.
    """

    url: str
    size: int | None = None
    digest: tuple[str, str] | None = None
    told_at: str | None = None


class _AccessUrl(BaseModel):
    url: str
    headers: tuple[str, ...] | None = None


class _AccessMethod(BaseModel):
    access_url: _AccessUrl | None = None
    access_id: str | None = None


class _Checksum(BaseModel):
    type: str
    checksum: str


class _Object(BaseModel):
    size: int | None = None
    checksums: tuple[_Checksum, ...] | None = None
    access_methods: tuple[_AccessMethod, ...] | None = None


def resolved(url: str) -> Target:
    """Return what a location stands for; a URL stands for itself.

    Raises:
        UsageError: It is a name of no form that is understood.
        StorageError: Its service does not tell where the file lies.
    """
    scheme = scheme_of(url)
    if scheme == "zenodo":
        found = _ZENODO.fullmatch(url)
        if found is None or ".." in found["file"].split("/"):
            raise UsageError(f"{shown_url(url)}: this names no file of a record.", hint="Write zenodo:RECORD/FILE.")
        return Target(url=ZENODO_FILE.format(record=found["record"], file=quote(found["file"], safe="/%")))
    return _of_drs(url) if scheme == "drs" else Target(url=url)


def _of_drs(url: str) -> Target:
    found = _DRS.fullmatch(url)
    if found is None:
        raise UsageError(
            f"{shown_url(url)}: this is no name of an object at a host; compact identifiers are not read.",
            hint="Write drs://HOST/ID, with the host that serves the object; a colon in the ID as %3A.",
        )
    place = DRS_OBJECT.format(host=found["host"], id=quote(found["id"], safe="%"))
    about = answer(url, place, _Object, _WHAT)
    address = next(iter(sorted(_addresses(url, place, about), key=lambda each: _TARGETS.index(scheme_of(each)))), None)
    if address is None:
        raise StorageError(
            f"{shown_url(url)} cannot be read: its server tells no address of it that can be read.",
            hint=f"Ask for an object with an access URL of {', '.join(_TARGETS)} that needs no headers; "
            "bundles are not read.",
        )
    return Target(url=address, size=about.size, digest=_digest(about.checksums or ()), told_at=place)


def _addresses(url: str, place: str, about: _Object) -> Iterator[str]:
    """Yield the URLs at which an object can be read; the one behind an access_id where no other is known."""
    methods = about.access_methods or ()
    known = [each.access_url for each in methods if each.access_url is not None]
    if not known:
        identifiers = [each.access_id for each in methods if each.access_id][:1]
        known = [answer(url, f"{place}/access/{quote(each, safe='')}", _AccessUrl, _WHAT) for each in identifiers]
    yield from (each.url for each in known if scheme_of(each.url) in _TARGETS and not each.headers)


def _digest(checksums: tuple[_Checksum, ...]) -> tuple[str, str] | None:
    given = {each.type.lower().replace("-", ""): each.checksum.lower() for each in checksums}
    known = (
        (name, given[name])
        for name, digits in _ALGORITHMS.items()
        if re.fullmatch(rf"[0-9a-f]{{{digits}}}", given.get(name, ""))
    )
    return next(known, None)
