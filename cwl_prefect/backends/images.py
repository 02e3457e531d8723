"""Getting the images that steps ask for, each once (CWL CommandLineTool, §DockerRequirement)."""

import hashlib
import logging
import tempfile
import threading
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, TypeAlias
from urllib.parse import unquote, urlsplit

from cwl_prefect.backends.once import Once
from cwl_prefect.errors import ImageError
from cwl_prefect.model.job import DockerImage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cwl_prefect.backends.docker_engine import RegistryLogin

logger = logging.getLogger(__name__)

RunInThread: TypeAlias = Callable[[Callable[[], str]], Awaitable[str]]
"""Runs a blocking function away from the event loop."""


class PullPolicy(StrEnum):
    """When an image is pulled, in the words of Prefect's Docker pools."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    IF_POSSIBLE = "IfPossible"
    NEVER = "Never"


class ImageEngine(Protocol):
    """What an engine must do for images."""

    def has_image(self, name: str) -> bool:
        """Tell whether an image is here."""
        ...

    def image_digest(self, name: str) -> str:
        """Give the digest of an image that is here."""
        ...

    def pull(self, name: str, *, login: "RegistryLogin | None", stopped: Callable[[], bool]) -> None:
        """Pull an image."""
        ...

    def load(self, archive: Path, *, stopped: Callable[[], bool]) -> tuple[str, ...]:
        """Load the images of an archive and give their names."""
        ...

    def import_(self, source: str, name: str) -> None:
        """Make an image of a file tree."""
        ...

    def build(self, dockerfile: str, name: str, *, stopped: Callable[[], bool]) -> None:
        """Build an image from the text of a Dockerfile."""
        ...


class Images:
    """Gives each image that is asked for, pulled, loaded, imported or built at most once.

    An image that is here under its ``dockerImageId`` or ``dockerPull`` is taken as it is; a ``dockerFile`` is always
    built, which the engine's own cache makes cheap.

    Args:
        engine: What does the work.
        in_thread: Runs the engine's blocking calls.
        policy: When to pull.
        login: Credentials for pulling.
    """

    def __init__(
        self,
        engine: ImageEngine,
        in_thread: RunInThread,
        *,
        policy: PullPolicy = PullPolicy.IF_NOT_PRESENT,
        login: "RegistryLogin | None" = None,
    ) -> None:
        self._engine = engine
        self._policy = policy
        self._login = login
        self._closed = threading.Event()
        self._in_thread = in_thread
        self._once: Once[DockerImage, str] = Once(lambda image: in_thread(lambda: self._obtain(image)))
        self._digests: Once[DockerImage, str] = Once(self._identify)

    async def get(self, image: DockerImage) -> str:
        """Give the name under which the engine has an image.

        Raises:
            ImageError: It cannot be had; everybody who asks for it is told, without another try.
            BackendError: The engine does not answer.
        """
        return await self._once.get(image)

    async def digest(self, image: DockerImage) -> str:
        """Give the digest of an image that the engine has: the same to all who ask, wherever its tag moves meanwhile.

        Raises:
            ImageError: It cannot be had; everybody who asks for it is told, without another try.
            BackendError: The engine does not answer.
        """
        return await self._digests.get(image)

    def known_digest(self, image: DockerImage) -> str | None:
        """Give the digest of an image if somebody asked for it before."""
        return self._digests.peek(image)

    async def _identify(self, image: DockerImage) -> str:
        name = await self.get(image)
        return await self._in_thread(lambda: self._engine.image_digest(name))

    def close(self) -> None:
        """Stop pulls and builds that still run."""
        self._closed.set()

    def _obtain(self, image: DockerImage) -> str:
        if image.file is not None:
            return self._built(image.file, image.image_id)
        name = image.image_id or image.pull
        present = name is not None and self._engine.has_image(name)
        if present and name is not None and not (self._policy is PullPolicy.ALWAYS and image.pull):
            return name
        if self._policy is PullPolicy.NEVER:
            raise ImageError(f"image {image.name} is not here, and the pull policy is Never", hint="pull it by hand")
        if image.pull is not None:
            return self._pulled(image.pull, image.image_id)
        if image.load is not None:
            return self._loaded(image.load, image.image_id)
        if image.import_ is not None:
            return self._imported(image.import_, image.image_id)
        raise ImageError(f"image {image.name} is not here", hint="give dockerPull too, or load the image by hand")

    def _built(self, dockerfile: str, image_id: str | None) -> str:
        name = image_id or f"cwl-prefect/built:{_digest(dockerfile)}"
        logger.info("building image %s", name)
        self._engine.build(dockerfile, name, stopped=self._closed.is_set)
        return name

    def _pulled(self, name: str, image_id: str | None) -> str:
        logger.info("pulling image %s", name)
        try:
            self._engine.pull(name, login=self._login, stopped=self._closed.is_set)
        except ImageError:
            if self._policy is not PullPolicy.IF_POSSIBLE or not self._engine.has_image(name):
                raise
        return self._known_as(image_id) or name

    def _loaded(self, location: str, image_id: str | None) -> str:
        logger.info("loading image %s", location)
        with _local_copy(location) as archive:
            names = self._engine.load(archive, stopped=self._closed.is_set)
        found = self._known_as(image_id) or next(iter(names), None)
        if found is None:
            raise ImageError(f"{location} holds no image", hint="make it with docker save")
        return found

    def _imported(self, location: str, image_id: str | None) -> str:
        name = image_id or f"cwl-prefect/imported:{_digest(location)}"
        logger.info("importing image %s as %s", location, name)
        with _local_copy(location) as archive:
            self._engine.import_(str(archive), name)
        return name

    def _known_as(self, image_id: str | None) -> str | None:
        return image_id if image_id is not None and self._engine.has_image(image_id) else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def _local_copy(location: str) -> "Iterator[Path]":
    """Give a path for an archive; one on the web is downloaded for the time being."""
    parts = urlsplit(location)
    if parts.scheme in ("http", "https"):
        with tempfile.NamedTemporaryFile(prefix="cwl-prefect-image-") as file:
            _download(location, file)
            yield Path(file.name)
        return
    yield Path(unquote(parts.path)) if parts.scheme == "file" else Path(location)


def _download(url: str, file: IO[bytes]) -> None:
    import httpx

    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=60) as response:
            response.raise_for_status()
            for chunk in response.iter_bytes(1 << 20):
                file.write(chunk)
    except httpx.HTTPError as exc:
        raise ImageError(f"cannot download image {url}: {exc}", hint="check the address and the network") from exc
    file.flush()
