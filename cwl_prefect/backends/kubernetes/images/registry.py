"""What registries tell about images: digests and entry points (OCI Distribution Specification, §Pulling manifests).

Nothing is pulled. A request for a digest has no body, so that registries which count pulls do not count it.
"""

import asyncio
import hashlib
import ipaddress
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from cwl_prefect.backends.kubernetes.objects import KubernetesObject, part, parts, read, text

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

PATIENCE_S = 10.0
"""Seconds after which a registry counts as out of reach."""

_HUB = "registry-1.docker.io"
_HUB_NAMES = frozenset({"docker.io", "index.docker.io", _HUB})
_MANIFESTS = frozenset(
    {
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NO_PROXY: Final = ("all://localhost", "all://127.0.0.1", "all://[::1]")  # as engines have it


class RegistryError(Exception):
    """A registry does not tell what was asked; the text says why.

    Args:
        message: Why.
        hint: What to do about it.
    """

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Credentials for a registry."""

    username: str
    password: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageName:
    """An image name, taken apart."""

    registry: str
    repository: str
    reference: str  # tag or digest


def parse_name(name: str) -> ImageName:
    """Take an image name apart, as Docker does: no registry is Docker Hub, no tag is ``latest``."""
    first, separator, rest = name.partition("/")
    named = bool(separator) and ("." in first or ":" in first or first == "localhost")
    registry, remainder = (first, rest) if named else (_HUB, name)
    repository, at, digest = remainder.partition("@")
    path, colon, tag = repository.rpartition(":")
    if colon and "/" not in tag:
        repository = path
    else:
        tag = "latest"
    if registry in _HUB_NAMES:
        registry = _HUB
        repository = repository if "/" in repository else f"library/{repository}"
    return ImageName(registry=registry, repository=repository, reference=digest if at else tag)


def by_digest(name: str, digest: str) -> str:
    """Return the name of an image by digest instead of by tag."""
    directory, slash, last = name.partition("@")[0].rpartition("/")
    return f"{directory}{slash}{last.partition(':')[0]}@{digest}"


class Registries:
    """Asks registries about images; each question is bounded in time.

    Args:
        logins: Credentials by registry.
        transport: Makes the requests; None: the network.
        patience_s: Bound of a question.
    """

    def __init__(
        self,
        logins: Mapping[str, Login],
        *,
        transport: "httpx.AsyncBaseTransport | None" = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._logins = logins
        self._transport = transport
        self._patience_s = patience_s
        self._client: httpx.AsyncClient | None = None
        self._repositories: dict[tuple[str, str], _Repository] = {}
        self._silent: set[str] = set()

    async def digest(self, name: str) -> str:
        """Return the digest that an image's name stands for now.

        Raises:
            RegistryError: Its registry cannot be reached, refuses, or has no such image.
        """
        return await self._ask(name, _digest)

    async def entry_point(self, name: str) -> tuple[str, ...]:
        """Return the words that an image puts before every command.

        Raises:
            RegistryError: Its registry cannot be reached, refuses, or has no such image.
        """
        return await self._ask(name, _entry_point)

    async def close(self) -> None:
        """Close connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _ask(self, name: str, question: "Callable[[_Repository, str], Awaitable[T]]") -> T:
        """Ask a registry; one that was silent once is not asked again."""
        import httpx

        image = parse_name(name)
        if image.registry in self._silent:
            raise _silence(name, self._patience_s)
        try:
            async with asyncio.timeout(self._patience_s):
                return await question(self._repository(image), image.reference)
        except (TimeoutError, httpx.TimeoutException):
            self._silent.add(image.registry)
            raise _silence(name, self._patience_s) from None
        except httpx.RequestError as error:
            # What other errors say may hold what was sent.
            told = f" ({error})" if isinstance(error, httpx.ConnectError) else ""
            raise RegistryError(f"its registry {image.registry} cannot be reached{told}", hint=_reach(name)) from None
        except (ValueError, KeyError, TypeError, httpx.InvalidURL):
            raise RegistryError(
                f"its registry {image.registry} answers what cannot be understood", hint=_pin(name)
            ) from None

    def _repository(self, image: ImageName) -> "_Repository":
        import httpx

        if self._client is None:
            mounts = dict.fromkeys(_NO_PROXY)
            self._client = httpx.AsyncClient(
                timeout=self._patience_s, follow_redirects=True, transport=self._transport, mounts=mounts
            )
        known = (image.registry, image.repository)
        if known not in self._repositories:
            names = _HUB_NAMES if image.registry == _HUB else {image.registry}
            login = next((self._logins[name] for name in sorted(names & self._logins.keys())), None)
            self._repositories[known] = _Repository(self._client, image, login)
        return self._repositories[known]


class _Repository:
    """One repository of a registry, with the token that it asks for."""

    def __init__(self, client: "httpx.AsyncClient", image: ImageName, login: Login | None) -> None:
        self._plain = _is_here(image.registry)
        self._client = client
        self._image = image
        self._base = f"{'http' if self._plain else 'https'}://{image.registry}/v2/{image.repository}"
        self._login = login
        self._authorization: str | None = None

    async def head(self, path: str) -> "httpx.Response":
        """Ask for the headers of a manifest; a registry that refuses to tell them alone answers with 405."""
        return await self._request("HEAD", path, allowed=(405,))

    async def get(self, path: str) -> bytes:
        """Get a manifest or a blob.

        Raises:
            RegistryError: The registry refuses, or answers with something else than what the digest in the path names.
        """
        content = (await self._request("GET", path)).content
        wanted = path.partition("/")[2]
        if _DIGEST.fullmatch(wanted) and wanted != _digest_of(content):
            raise RegistryError(
                f"its registry {self._image.registry} gives something else for {wanted}", hint="try again"
            )
        return content

    async def _request(self, method: str, path: str, *, allowed: tuple[int, ...] = ()) -> "httpx.Response":
        answer = await self._send(method, path)
        if answer.status_code == 401:
            self._authorization = await self._authorized(", ".join(answer.headers.get_list("www-authenticate")))
            answer = await self._send(method, path)
        if answer.is_success or answer.status_code in allowed:
            return answer
        raise self._refusal(answer.status_code)

    async def _send(self, method: str, path: str) -> "httpx.Response":
        headers = {"Accept": ", ".join(sorted(_MANIFESTS)) if path.startswith("manifests/") else "*/*"}
        if self._authorization is not None:
            headers["Authorization"] = self._authorization
        return await self._client.request(method, f"{self._base}/{path}", headers=headers)

    async def _authorized(self, challenge: str) -> str | None:
        """Get what the registry asks for: a token, by credentials or without, or the credentials themselves."""
        import httpx

        login = self._login
        auth = None if login is None else httpx.BasicAuth(login.username, login.password)
        bearer = re.search(r"\bbearer\s", challenge, re.IGNORECASE)
        if bearer is None:
            return self._basic(auth) if auth is not None and "basic" in challenge.lower() else None
        asked = dict(re.findall(r'(\w+)="([^"]*)"', challenge[bearer.end() :]))
        realm = httpx.URL(asked.pop("realm"))
        if realm.scheme != "https" and not (self._plain and _is_here(realm.host)):
            raise RegistryError(
                f"its registry {self._image.registry} has its credentials sent in the clear", hint="use https"
            )
        answer = await self._client.get(realm, params={**dict(realm.params), **asked}, auth=auth)
        if not answer.is_success:
            raise self._refusal(answer.status_code)
        given = read(answer.content)
        return f"Bearer {text(given, 'token') or text(given, 'access_token')}"

    def _basic(self, auth: "httpx.BasicAuth") -> str:
        import httpx

        return next(auth.auth_flow(httpx.Request("GET", self._base))).headers["Authorization"]

    def _refusal(self, status: int) -> RegistryError:
        registry = self._image.registry
        if status == 404:
            return RegistryError(
                f"its registry {registry} has no such image", hint="push it there if only the nodes have it"
            )
        if status in (401, 403):
            known = "the credentials of the pull secret" if self._login is not None else "requests without credentials"
            return RegistryError(
                f"its registry {registry} refuses {known} ({status})",
                hint="name a pull secret in the work pool's job template that this process may read",
            )
        return RegistryError(f"its registry {registry} answers with HTTP {status}", hint="try again later")


async def _digest(repository: _Repository, reference: str) -> str:
    answer = await repository.head(f"manifests/{reference}")
    kind = answer.headers.get("content-type", "").partition(";")[0].strip()
    digest = answer.headers.get("docker-content-digest", "")
    if answer.is_success and kind in _MANIFESTS and _DIGEST.fullmatch(digest):
        return str(digest)
    content = await repository.get(f"manifests/{reference}")
    _read_manifest(content)
    return _digest_of(content)


async def _entry_point(repository: _Repository, reference: str) -> tuple[str, ...]:
    manifest = _read_manifest(await repository.get(f"manifests/{reference}"))
    choices = parts(manifest, "manifests")
    if choices:
        fitting = [choice for choice in choices if text(choice, "platform", "os") == "linux"] or choices
        manifest = _read_manifest(await repository.get(f"manifests/{text(fitting[0], 'digest')}"))
    config = read(await repository.get(f"blobs/{text(manifest, 'config', 'digest')}"))
    stated = part(config, "config").get("Entrypoint")
    return tuple(str(word) for word in stated) if isinstance(stated, list) else ()


def _read_manifest(content: bytes) -> KubernetesObject:
    """Read a manifest or an index; those of the first schema have no digest that could be told from their bytes.

    Raises:
        ValueError: It is neither.
    """
    manifest = read(content)
    if manifest.get("schemaVersion") != 2:
        raise ValueError("not a manifest of the second schema")
    return manifest


def _digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _is_here(registry: str) -> bool:
    """Check whether a registry is on this machine, where engines do without encryption."""
    host = registry[1 : registry.index("]")] if registry.startswith("[") else registry.partition(":")[0]
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _silence(name: str, patience_s: float) -> RegistryError:
    return RegistryError(
        f"its registry {parse_name(name).registry} does not answer within {patience_s:g} s", hint=_reach(name)
    )


def _pin(name: str) -> str:
    return f"name the image by its digest ({name.partition('@')[0]}@sha256:…)"


def _reach(name: str) -> str:
    return f"let this process reach the registry, or {_pin(name)}"
