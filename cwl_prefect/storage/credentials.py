"""Credentials for stores and servers that are lent to a run, beside those that the chain of each provider finds."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from cwl_prefect._lib.locations import scheme_of

_FAMILIES = {"abfs": "az", "abfss": "az", "gcs": "gs", "s3a": "s3"}
_STORES = frozenset({"s3", "gs", "az"})  # whose options name the endpoint too, so that they go nowhere else
_SECRET = re.compile(r"key|secret|token|passw|sas|connection_string|authorization|cookie|^auth$", re.IGNORECASE)
_SHORTEST = 6  # letters; less than that is in many texts by chance


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a file system of fsspec is given beside its URL.

    Attributes:
        name: What people call the place that they are from.
        url: What they are for: all URLs of stores of its scheme; of a server those of its host.
        options: Options of the file system.
    """

    name: str
    url: str
    options: Mapping[str, object] = field(repr=False)

    @property
    def secret(self) -> tuple[str, ...]:
        """Texts of the options that are to appear nowhere, longest first."""
        return tuple(sorted(set(_secrets(self.options, named=False)), key=len, reverse=True))

    @property
    def store_variables(self) -> dict[str, str]:
        """What they say of a store of S3's kind that is no secret, as variables of the provider's own tools."""
        return self._variables({"AWS_ENDPOINT_URL_S3": "endpoint_url", "AWS_REGION": "region_name"})

    @property
    def secret_variables(self) -> dict[str, str]:
        """What they say of a store of S3's kind that is secret, in the same way; none where a part is missing."""
        names = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}
        found = self._variables(names)
        return found if {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} <= found.keys() else {}

    def _variables(self, names: Mapping[str, str]) -> dict[str, str]:
        """Return variables with the values of options, which may be the client's, and be called as variables are."""
        client = self.options.get("client_kwargs")
        inner = client if isinstance(client, Mapping) else {}
        found = {
            variable: self.options.get(option) or inner.get(option) or inner.get(variable.lower())
            for variable, option in names.items()
        }
        return {name: str(value) for name, value in found.items() if value} if family(self.url) == "s3" else {}

    def fit(self, url: str) -> bool:
        """Check whether they are for a URL."""
        if family(url) != family(self.url):
            return False
        return family(url) in _STORES or urlsplit(url)[:2] == urlsplit(self.url)[:2]


_LENT: ContextVar[Credentials | None] = ContextVar("cwl_prefect_credentials", default=None)


@contextmanager
def lending(credentials: Credentials | None) -> Iterator[None]:
    """Let what is read and written until the end use credentials; None: as before."""
    if credentials is None:
        yield
        return
    token = _LENT.set(credentials)
    try:
        yield
    finally:
        _LENT.reset(token)


def lent() -> Credentials | None:
    """Return the credentials that are lent now."""
    return _LENT.get()


def lent_for(url: str) -> Credentials | None:
    """Return the credentials that are lent now, if they are for a URL."""
    found = _LENT.get()
    return found if found is not None and found.fit(url) else None


def lent_options(url: str) -> Mapping[str, object]:
    """Return the options that the file system of a URL is lent now; none where there are none."""
    found = lent_for(url)
    return {} if found is None else found.options


def family(url: str) -> str:
    """Return the scheme of a URL, the same for all that are of one provider."""
    scheme = scheme_of(url)
    return _FAMILIES.get(scheme, scheme)


def _secrets(value: object, *, named: bool) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            leaf = not isinstance(item, Mapping | list | tuple)
            yield from _secrets(item, named=_SECRET.search(str(name)) is not None and (leaf or str(name) == "auth"))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _secrets(item, named=named)
    elif named and isinstance(value, str) and len(value) >= _SHORTEST:
        yield value
