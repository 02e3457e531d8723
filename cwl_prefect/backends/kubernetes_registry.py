"""Reading an image's entry point from its registry (OCI Distribution Specification, §Pulling manifests)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from cwl_prefect.backends.kubernetes_objects import KubernetesObject, part, parts, text

if TYPE_CHECKING:
    import httpx

_HUB = "registry-1.docker.io"
_HUB_NAMES = frozenset({"docker.io", "index.docker.io", _HUB})
_TIMEOUT_S = 10.0
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json"
)


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


async def registry_entry_point(
    name: str, logins: Mapping[str, Login], *, client: "httpx.AsyncClient | None" = None
) -> tuple[str, ...] | None:
    """Give an image's entry point, empty where it has none; None where the registry does not tell.

    Args:
        name: The image.
        logins: Credentials by registry.
        client: Makes the requests; a new one where none is given.
    """
    import httpx

    image = parse_name(name)
    login = logins.get(image.registry) or next((logins[hub] for hub in _HUB_NAMES & logins.keys()), None)
    try:
        async with client or httpx.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=True) as opened:
            return await _entry_point(_Registry(opened, image, login), image.reference)
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None


async def _entry_point(registry: "_Registry", reference: str) -> tuple[str, ...]:
    manifest = await registry.get(f"manifests/{reference}")
    choices = parts(manifest, "manifests")
    if choices:
        fitting = [choice for choice in choices if text(choice, "platform", "os") == "linux"] or choices
        manifest = await registry.get(f"manifests/{text(fitting[0], 'digest')}")
    config = await registry.get(f"blobs/{text(manifest, 'config', 'digest')}")
    stated = part(config, "config").get("Entrypoint")
    return tuple(str(word) for word in stated) if isinstance(stated, list) else ()


class _Registry:
    """One repository of a registry, with the token that it asks for."""

    def __init__(self, client: "httpx.AsyncClient", image: ImageName, login: Login | None) -> None:
        scheme = "http" if image.registry.partition(":")[0] in ("localhost", "127.0.0.1") else "https"
        self._client = client
        self._base = f"{scheme}://{image.registry}/v2/{image.repository}"
        self._login = login
        self._authorization: str | None = None

    async def get(self, path: str) -> KubernetesObject:
        """Get a manifest or a blob of the repository, which is JSON; log in where the registry asks for that.

        Raises:
            HTTPError: The registry does not answer, or refuses.
        """
        answer = await self._ask(path)
        if answer.status_code == 401 and self._authorization is None:
            self._authorization = await self._authorized(answer.headers.get("www-authenticate", ""))
            answer = await self._ask(path)
        answer.raise_for_status()
        return cast("KubernetesObject", answer.json())

    async def _ask(self, path: str) -> "httpx.Response":
        headers = {"Accept": _MANIFESTS if path.startswith("manifests/") else "*/*"}
        if self._authorization is not None:
            headers["Authorization"] = self._authorization
        return await self._client.get(f"{self._base}/{path}", headers=headers)

    async def _authorized(self, challenge: str) -> str:
        import httpx

        login = self._login
        auth = None if login is None else httpx.BasicAuth(login.username, login.password)
        if challenge.lower().startswith("basic") and auth is not None:
            request = next(auth.auth_flow(httpx.Request("GET", self._base)))
            return request.headers["Authorization"]
        asked = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        realm = asked.pop("realm")
        answer = await self._client.get(realm, params=asked, auth=auth)
        answer.raise_for_status()
        given = cast("KubernetesObject", answer.json())
        return f"Bearer {text(given, 'token') or text(given, 'access_token')}"
