"""The file system for a URL: fsspec's, with what the environment says of its provider, and nothing of our own."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from cwl_prefect._lib.locations import REMOTE_SCHEMES, is_web, quoted, scheme_of, shown_url
from cwl_prefect.environment import stage_variables
from cwl_prefect.errors import UsageError
from cwl_prefect.storage.credentials import lent_options
from cwl_prefect.storage.failures import storage_errors
from cwl_prefect.storage.outer import outer_client

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_EXTRAS = {"s3": "s3", "gs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure", "sftp": "sftp"}
_CONNECT_S, _SILENT_S = 30.0, 60.0


Stage = Literal["STAGEIN", "STAGEOUT"]
"""Whether inputs are read or results written, as platforms of Earth observation call it."""


def filesystem(url: str, *, stage: Stage | None = None) -> "tuple[AbstractFileSystem, str]":
    """Return the file system that a URL is of, and the path in it.

    Credentials, regions and endpoints are found by the chain of each provider, as ``AWS_PROFILE`` and
    ``AWS_ENDPOINT_URL``; what fsspec reads of ``FSSPEC_*`` counts too, and what is lent goes over it. Packages are
    imported when a URL asks for them.

    Args:
        url: The URL.
        stage: What it is for; variables as ``ADES_STAGEIN_AWS_REGION`` go before those of the provider.

    Raises:
        UsageError: No file system takes such URLs, or its package is not installed.
        StorageError: It cannot be reached.
    """
    scheme = scheme_of(url)
    if scheme not in REMOTE_SCHEMES:
        raise UsageError(
            f"{shown_url(url)}: no file system takes URLs with {scheme or 'this scheme'}.",
            hint=f"Use one of {', '.join(sorted(REMOTE_SCHEMES))}.",
        )
    import fsspec

    try:
        if scheme == "sftp":  # fsspec's own takes every key of a host
            fsspec.register_implementation("sftp", "sshfs.SSHFileSystem", clobber=True)
        fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        extra = _EXTRAS.get(scheme)
        raise UsageError(
            f"{shown_url(url)}: a package that reads {scheme} is not installed.",
            hint=f"Run `pip install 'cwl-prefect[{extra}]'`." if extra else "Run `pip install aiohttp`.",
        ) from error
    options = _merged(_options(scheme), lent_options(url), _of_stage(scheme, stage))
    with storage_errors("reached", url):
        found: AbstractFileSystem
        found, path = fsspec.core.url_to_fs(quoted(url) if is_web(url) else url, **options)
    return found, path


def _merged(*several: Mapping[str, object]) -> dict[str, object]:
    """Return options, the later ones over the earlier; those of the client one by one."""
    found: dict[str, object] = {}
    for options in several:
        before, client = found.get("client_kwargs"), options.get("client_kwargs")
        inner = {"client_kwargs": {**before, **client}} if isinstance(before, dict) and isinstance(client, dict) else {}
        found |= {**options, **inner}
    return found


def _of_stage(scheme: str, stage: Stage | None) -> dict[str, object]:
    """Return what variables say of one stage: ``ADES_STAGEIN_AWS_SERVICEURL`` and the like."""
    if scheme != "s3" or stage is None:
        return {}
    options = {"SERVICEURL": "endpoint_url", "ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "REGION": "region"}
    names = {f"ADES_{stage}_AWS_{name}": option for name, option in options.items()}
    found = {names[name]: value for name, value in stage_variables(names).items()}
    region = found.pop("region", None)
    return {**found} if region is None else {**found, "client_kwargs": {"region_name": region}}


def _options(scheme: str) -> dict[str, object]:
    """Return what differs from the defaults: no listing is remembered, and nothing waits for ever."""
    match scheme:
        case "http" | "https":
            from aiohttp import ClientTimeout

            timeout = ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_SILENT_S)
            client = {"trust_env": True, "timeout": timeout}  # proxies, and ~/.netrc
            options = {"encoded": True, "client_kwargs": client, "use_listings_cache": False}
            found = outer_client()
            return options if found is None else {**options, "get_client": found}
        case "sftp":
            return {"known_hosts": (), "connect_timeout": _CONNECT_S}  # (): those of ~/.ssh/known_hosts
        case "ftp":
            return {"timeout": int(_SILENT_S), "use_listings_cache": False}
        case _:
            return {"use_listings_cache": False}
