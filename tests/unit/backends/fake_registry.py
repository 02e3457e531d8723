"""A registry as it answers over HTTP, without a network."""

import asyncio
import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import httpx

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
PASSWORD = "s3cret"
TOKEN = "t0ken"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class FakeRegistry:
    """Holds images of one repository; how it answers can be changed.

    Attributes:
        guarded: What it asks for: nothing, ``Bearer`` or ``Basic``.
        login: The only credentials that it takes; None: it gives tokens to everybody.
        status: Answers every question about a manifest with this status.
        silent: Never answers.
        heads: Whether it answers to HEAD.
        tells_digest: Whether it names digests in a header.
        moved_to: Host that it sends everybody to.
        tampered: Gives other bytes than were put.
    """

    tags: dict[str, bytes] = field(default_factory=dict)
    content: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    guarded: str = ""
    login: str | None = None
    realm: str = "https://auth.example/token"
    status: int | None = None
    silent: bool = False
    heads: bool = True
    tells_digest: bool = True
    moved_to: str | None = None
    tampered: bool = False
    kind: str | None = None
    asked: list[httpx.Request] = field(default_factory=list)

    def put(self, tag: str, *, entry_point: list[str] | None = None, platforms: tuple[str, ...] = ()) -> str:
        """Push an image, of several platforms where some are named, and give its digest."""
        if not platforms:
            content, kind = self._image(entry_point, tag), MANIFEST
        else:
            images = [(name, self._image(entry_point, f"{tag} {name}")) for name in platforms]
            manifests = [
                {"digest": digest_of(image), "platform": {"os": "linux", "architecture": name}}
                for name, image in images
            ]
            content, kind = self._json({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}), INDEX
        self.content[digest_of(content)] = content, kind
        self.tags[tag] = content
        return digest_of(content)

    def _image(self, entry_point: list[str] | None, about: str) -> bytes:
        config = self._json({"config": {"Entrypoint": entry_point}, "about": about})
        self.content[digest_of(config)] = config, "application/json"
        image = self._json({"schemaVersion": 2, "mediaType": MANIFEST, "config": {"digest": digest_of(config)}})
        self.content[digest_of(image)] = image, MANIFEST
        return image

    def _json(self, value: Any) -> bytes:
        return json.dumps(value).encode()

    @property
    def transport(self) -> httpx.AsyncBaseTransport:
        return httpx.MockTransport(self._answer)

    def paths(self, method: str = "HEAD") -> list[str]:
        return [request.url.path for request in self.asked if request.method == method]

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self.silent:
            await asyncio.sleep(60)
        if request.url.host == "auth.example":
            return self._token(request)
        if self.moved_to is not None and request.url.host != self.moved_to:
            return httpx.Response(307, headers={"Location": str(request.url.copy_with(host=self.moved_to))})
        refused = None if request.url.host == self.moved_to else self._refused(request)
        return refused or self._content(request)

    def _token(self, request: httpx.Request) -> httpx.Response:
        given = request.headers.get("authorization", "")
        if self.login is not None and given != f"Basic {base64.b64encode(self.login.encode()).decode()}":
            return httpx.Response(401)
        return httpx.Response(200, json={"token": TOKEN})

    def _refused(self, request: httpx.Request) -> httpx.Response | None:
        given = request.headers.get("authorization")
        if self.guarded == "Bearer" and given != f"Bearer {TOKEN}":
            words = f'Bearer realm="{self.realm}",service="fake",scope="repository:team/tool:pull"'
            return httpx.Response(401, headers={"WWW-Authenticate": words})
        if self.guarded == "Basic":
            wanted = f"Basic {base64.b64encode((self.login or '').encode()).decode()}"
            return None if given == wanted else httpx.Response(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        return None

    def _content(self, request: httpx.Request) -> httpx.Response:
        _, part, reference = request.url.path.rsplit("/", 2)
        if part == "manifests" and self.status is not None:
            return httpx.Response(self.status)
        if request.method == "HEAD" and not self.heads:
            return httpx.Response(405)
        named = digest_of(self.tags[reference]) if reference in self.tags else reference
        content, kind = self.content.get(named, (None, ""))
        if content is None:
            return httpx.Response(404)
        headers = {"Content-Type": self.kind or kind}
        if self.tells_digest:
            headers["Docker-Content-Digest"] = named
        return httpx.Response(200, headers=headers, content=content + b" " if self.tampered else content)
