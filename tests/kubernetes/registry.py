"""A registry on this machine, and images that only one test has."""

import io
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import docker
import httpx
from docker.models.images import Image

from tests.waiting import until

PROGRAM = "docker-registry"
CONFIGURATION = """
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {directory}/content}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@dataclass
class LocalRegistry:
    """A registry, and the names that were given to images for it.

    Attributes:
        port: Where it listens.
        client: The engine that images are made and pushed with.
    """

    port: int
    client: docker.DockerClient
    names: dict[str, None] = field(default_factory=dict)
    identifiers: dict[str, None] = field(default_factory=dict)

    def name(self, repository: str) -> str:
        """Give the name of an image of this registry."""
        return f"localhost:{self.port}/{repository}"

    def make(self, name: str, *lines: str) -> Image:
        """Make an image that no other test has, and give it a name."""
        text = "\n".join(("FROM busybox:1.35", f"LABEL made-for={name}", *lines))
        image, _ = self.client.images.build(fileobj=io.BytesIO(text.encode()), tag=name, rm=True)
        self.names[name] = None
        self.identifiers[str(image.id)] = None
        return image

    def push(self, image: Image, name: str) -> str:
        """Let a tag of the registry stand for an image, and give its digest there."""
        assert image.tag(name)
        self.names[name] = None
        said = self.client.api.push(name, stream=True, decode=True)
        problems = [line["error"] for line in said if "error" in line]
        assert problems == []
        accepted = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
        repository, _, tag = name.partition("/")[2].partition(":")
        url = f"http://localhost:{self.port}/v2/{repository}/manifests/{tag}"
        return str(httpx.head(url, headers=accepted).headers["docker-content-digest"])

    def forget(self) -> None:
        """Remove from the engine what was made here, by exact name."""
        for name in (*self.names, *self.identifiers):
            with suppress(docker.errors.ImageNotFound):
                self.client.images.remove(name, force=True)


def serve(directory: Path, port: int) -> Iterator[LocalRegistry]:
    """Run a registry; it ends, and its images are removed from the engine, afterwards."""
    configuration = directory / "registry.yml"
    configuration.write_text(CONFIGURATION.format(directory=directory, port=port))
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, "serve", configuration], stdout=log, stderr=log)
    registry = LocalRegistry(port=port, client=docker.from_env())
    try:
        until(lambda: _answers(port), 20)
        yield registry
    finally:
        process.terminate()
        process.wait(10)
        registry.forget()
        registry.client.close()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://localhost:{port}/v2/").is_success
    except httpx.TransportError:
        return False
