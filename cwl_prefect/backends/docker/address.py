"""Where the Docker engine listens: DOCKER_HOST, else the current context, else this machine's socket."""

import json
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cwl_prefect.errors import BackendError

if TYPE_CHECKING:
    from docker.tls import TLSConfig

SOCKET = Path("/var/run/docker.sock")
_PORT, _TLS_PORT = 2375, 2376


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where an engine listens: a Unix socket, or a host and port."""

    url: str  # for people
    socket: str | None = None
    host: str = "localhost"
    port: int = _PORT
    tls: ssl.SSLContext | None = None


def engine_address() -> Address:
    """Return where the engine listens, as the ``docker`` command finds it; blocks for some small files.

    Raises:
        BackendError: The address is none that can be used, or what it refers to cannot be read.
    """
    url, context = os.environ.get("DOCKER_HOST"), _context_name()
    if not url and context is None:
        return _parsed(f"unix://{SOCKET}", None)
    if url and not (os.environ.get("DOCKER_TLS_VERIFY") or os.environ.get("DOCKER_CERT_PATH")):
        return _parsed(url, None)
    try:
        return _with_certificates(url, context)
    except ImportError as exc:
        hint = "pip install 'cwl-prefect[docker]', or run with --no-container"
        raise BackendError("the Docker SDK is not installed", hint=hint) from exc


def _context_name() -> str | None:
    """Return the name of the context that the user chose; None for the default."""
    name = os.environ.get("DOCKER_CONTEXT")
    if not name:
        directory = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
        try:
            name = json.loads((directory / "config.json").read_bytes()).get("currentContext")
        except (OSError, ValueError, AttributeError):
            return None
    return name if isinstance(name, str) and name not in ("", "default") else None


def _with_certificates(url: str | None, context: str | None) -> Address:
    """Return an address whose certificates the Docker SDK finds."""
    from docker.context import ContextAPI
    from docker.errors import DockerException
    from docker.utils import kwargs_from_env

    try:
        if url:
            return _parsed(url, kwargs_from_env()["tls"])
        found = ContextAPI.get_context(context)
    except DockerException as exc:
        raise BackendError(f"the Docker engine's address cannot be used: {exc}", hint="check `docker info`") from exc
    if found is None:
        raise BackendError(f"there is no Docker context {context}", hint="see `docker context ls`")
    return _parsed(str(found.Host), found.TLSConfig)


def _parsed(url: str, tls: "TLSConfig | None") -> Address:
    parts = urlsplit(url if "://" in url else f"tcp://{url}")
    if parts.scheme == "unix":
        return Address(url=url, socket=parts.netloc + parts.path)
    if parts.scheme not in ("tcp", "http", "https") or parts.hostname is None:
        raise BackendError(
            f"the Docker engine's address {url} cannot be used", hint="name one that begins with unix:// or tcp://"
        )
    secure = tls is not None or parts.scheme == "https"
    return Address(
        url=url,
        host=parts.hostname,
        port=parts.port or (_TLS_PORT if secure else _PORT),
        tls=_ssl_context(tls) if secure else None,
    )


def _ssl_context(tls: "TLSConfig | None") -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca_cert if tls is not None else None)
        if tls is not None and tls.cert:
            context.load_cert_chain(*tls.cert)
    except OSError as exc:
        raise BackendError(f"the certificates of the Docker engine cannot be read: {exc}") from exc
    if tls is not None and not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
