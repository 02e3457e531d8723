"""Getting the images that steps ask for, each once (CWL CommandLineTool, §DockerRequirement)."""

import asyncio
import hashlib
import logging
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO

from cwl_prefect._lib.single_flight import Once
from cwl_prefect._lib.uris import path_of
from cwl_prefect.backends.docker.descriptions import ImageDescription
from cwl_prefect.backends.docker.engine import DockerEngine
from cwl_prefect.backends.docker.registry_login import RegistryLogin
from cwl_prefect.backends.naming import BUILT_LABEL
from cwl_prefect.errors import ImageError
from cwl_prefect.model.job import DockerImage

_NO_NETWORK = (
    "its commands have no network: let them by CWL_PREFECT_DOCKER_BUILD_NETWORK=1 where you trust the document, or "
    "build the image by hand and name it by dockerPull"
)

logger = logging.getLogger(__name__)


class PullPolicy(StrEnum):
    """When an image is pulled, in the words of Prefect's Docker pools."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    IF_POSSIBLE = "IfPossible"
    NEVER = "Never"


class Images:
    """Obtains each image that is asked for, pulled, loaded, imported or built at most once.

    An image that is here under its ``dockerImageId`` or ``dockerPull`` is taken as it is; a ``dockerFile`` is always
    built, which the engine's own cache makes cheap. It is named by its text, and by its ``dockerImageId`` only where no
    image that was not built here has that name.

    Args:
        engine: What does the work.
        policy: When to pull.
        login: Credentials for pulling.
        build_network: Whether the commands of a ``dockerFile`` may use a network.
    """

    def __init__(
        self,
        engine: DockerEngine,
        *,
        policy: PullPolicy = PullPolicy.IF_NOT_PRESENT,
        login: RegistryLogin | None = None,
        build_network: bool = False,
    ) -> None:
        self._engine = engine
        self._policy = policy
        self._login = login
        self._build_network = build_network
        self._once: Once[DockerImage, ImageDescription] = Once(self._described)
        self._at_work: set[asyncio.Task[object]] = set()

    async def get(self, image: DockerImage) -> ImageDescription:
        """Describe an image that the engine has: the same to all who ask, wherever its tag moves meanwhile.

        Raises:
            ImageError: It cannot be had; everybody who asks for it is told, without another try.
            BackendError: The engine does not answer.
        """
        return await self._once.get(image)

    def known_digest(self, image: DockerImage) -> str | None:
        """Return the digest of an image if somebody asked for it before."""
        known = self._once.peek(image)
        return None if known is None else known.id

    def close(self) -> None:
        """Stop pulls and builds that still run."""
        for task in self._at_work:
            task.cancel()

    async def _described(self, image: DockerImage) -> ImageDescription:
        task = asyncio.current_task()
        if task is not None:
            self._at_work.add(task)
        try:
            found = await self._engine.image(await self._obtained(image))
        except asyncio.CancelledError:
            raise ImageError(f"stopped while image {image.name} was on its way") from None
        finally:
            self._at_work.discard(task)
        if found is None:
            raise ImageError(f"image {image.name} is gone", hint="pull it again")
        return found

    async def _obtained(self, image: DockerImage) -> str:
        """Return the name under which the engine has an image, once it has it."""
        if image.file is not None:
            return await self._built(image.file, image.image_id)
        name = image.image_id or image.pull
        present = name is not None and await self._engine.image(name) is not None
        if present and name is not None and not (self._policy is PullPolicy.ALWAYS and image.pull):
            return name
        if self._policy is PullPolicy.NEVER:
            raise ImageError(f"image {image.name} is not here, and the pull policy is Never", hint="pull it by hand")
        if image.pull is not None:
            return await self._pulled(image.pull, image.image_id)
        if image.load is not None:
            return await self._loaded(image.load, image.image_id)
        if image.import_ is not None:
            return await self._imported(image.import_, image.image_id)
        raise ImageError(f"image {image.name} is not here", hint="give dockerPull too, or load the image by hand")

    async def _built(self, dockerfile: str, image_id: str | None) -> str:
        name = f"cwl-prefect/built:{_digest(dockerfile)}"
        logger.info("building image %s", name)
        try:
            await self._engine.build(dockerfile, name, network=self._build_network)
        except ImageError as exc:
            if self._build_network or exc.hint is not None:
                raise
            raise ImageError(exc.message, hint=_NO_NETWORK) from exc
        if image_id is not None:
            taken = await self._engine.image(image_id)
            if taken is None or BUILT_LABEL in (taken.labels or {}):
                await self._engine.tag(name, image_id)
            else:
                logger.warning("the image %s stays what it is: what was built instead is %s", image_id, name)
        return name

    async def _pulled(self, name: str, image_id: str | None) -> str:
        logger.info("pulling image %s", name)
        try:
            await self._engine.pull(name, login=self._login)
        except ImageError:
            if self._policy is not PullPolicy.IF_POSSIBLE or await self._engine.image(name) is None:
                raise
        return await self._known_as(image_id) or name

    async def _loaded(self, location: str, image_id: str | None) -> str:
        logger.info("loading image %s", location)
        async with _local_copy(location) as archive:
            names = await self._engine.load(archive)
        found = await self._known_as(image_id) or next(iter(names), None)
        if found is None:
            raise ImageError(f"{location} holds no image", hint="make it with docker save")
        return found

    async def _imported(self, location: str, image_id: str | None) -> str:
        name = image_id or f"cwl-prefect/imported:{_digest(location)}"
        logger.info("importing image %s as %s", location, name)
        async with _local_copy(location) as archive:
            await self._engine.import_(archive, name)
        return name

    async def _known_as(self, image_id: str | None) -> str | None:
        return image_id if image_id is not None and await self._engine.image(image_id) is not None else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@asynccontextmanager
async def _local_copy(location: str) -> AsyncIterator[Path]:
    """Yield a path for an archive; one on the web is downloaded for the time being."""
    if location.startswith(("http://", "https://")):
        with tempfile.NamedTemporaryFile(prefix="cwl-prefect-image-") as file:
            await _download(location, file)
            yield Path(file.name)
        return
    yield path_of(location) or Path(location)


async def _download(url: str, file: IO[bytes]) -> None:
    import httpx

    try:
        async with (
            httpx.AsyncClient(follow_redirects=True, timeout=60) as client,
            client.stream("GET", url) as response,
        ):
            response.raise_for_status()
            async for chunk in response.aiter_bytes(1 << 20):
                await asyncio.to_thread(file.write, chunk)
    except httpx.HTTPError as exc:
        raise ImageError(f"cannot download image {url}: {exc}", hint="check the address and the network") from exc
    file.flush()
