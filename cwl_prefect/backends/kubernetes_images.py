"""What Kubernetes is to run for an image that a step asks for: its name, and the entry point that it brings.

A call's command line is appended to the image's entry point (CWL CommandLineTool, §DockerRequirement), which a pod
with a command of its own replaces; so it is read from the engine of this machine if that has the image, otherwise from
its registry.
"""

import asyncio
import base64
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from cwl_prefect.backends.images import Images
from cwl_prefect.backends.job_variables import ENTRY_POINT, StepVariables
from cwl_prefect.backends.kubernetes_objects import KubernetesObject, part, text
from cwl_prefect.backends.kubernetes_registry import Described, Login, Registries, RegistryError
from cwl_prefect.backends.once import Once
from cwl_prefect.errors import BackendError, ImageError
from cwl_prefect.model.job import DockerImage

if TYPE_CHECKING:
    from cwl_prefect.backends.docker_engine import DockerEngine

logger = logging.getLogger(__name__)

Inspect = Callable[[DockerImage], "StepImage | None"]
"""Looks an image up in the Docker engine of this machine; blocks; None where there is no engine or no such image."""

Lookup = Callable[[str], Awaitable[Described | None]]
"""Describes an image from its registry; None where that tells nothing."""

SAY_IT = (
    f"give the step the job variable {ENTRY_POINT} ([] for none), or let the run read the image's registry, with "
    "the pull secret that it takes"
)
"""What to do where nobody tells an image's entry point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepImage:
    """An image as a pod names it, and the words that come before the command.

    Attributes:
        name: Its name.
        entry_point: The words; None where nobody tells them.
        digests: All that are known to name the very image that the words were read from.
    """

    name: str
    entry_point: tuple[str, ...] | None = ()
    digests: frozenset[str] = frozenset()


def pinned_digest(image: DockerImage) -> str | None:
    """Give the digest in an image's name, or None for a mere tag, under which nodes may have different images."""
    _, separator, digest = (image.pull or "").partition("@sha256:")
    return f"sha256:{digest}" if separator and not (image.load or image.file or image.import_) else None


def stated_entry_point(step: StepVariables) -> tuple[str, ...] | None:
    """Give the entry point that job variables say a step's image has, or None where they say nothing.

    Raises:
        BackendError: What they say is no list of words.
    """
    words = step.values.get(ENTRY_POINT)
    if words is None:
        return None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        givers = " or ".join(step.patterns) or "the deployment or run"
        raise BackendError(
            f"{givers}: the job variable {ENTRY_POINT} must be a list of words, and is {json.dumps(words)}",
            hint='write it as ["/entry.sh"], or as [] where the image has none',
        )
    return tuple(cast("list[str]", words))


class StepImages:
    """Finds each image's name and entry point once.

    Args:
        inspect: Asks the engine of this machine.
        lookup: Asks the registry.
    """

    def __init__(self, inspect: Inspect, lookup: Lookup) -> None:
        self._inspect = inspect
        self._lookup = lookup
        self._once: Once[DockerImage, StepImage] = Once(self._find)
        self._told: set[str] = set()

    async def get(self, image: DockerImage) -> StepImage:
        """Give what a pod has to run.

        Raises:
            ImageError: The image is to be made from a file, which takes a Docker engine that the cluster shares.
        """
        return await self._once.get(image)

    def entry_point(self, image: StepImage, command: Sequence[str]) -> tuple[str, ...]:
        """Give the words before a call's command; none, with one warning an image, where nobody tells them.

        Raises:
            ImageError: Nobody tells them, and the call has no command of its own.
        """
        if image.entry_point is not None:
            return image.entry_point
        if not command:
            raise ImageError(
                f"the call has no command, and the entry point of its image {image.name} is not known: neither the "
                "Docker engine of this machine nor its registry tells it",
                hint=SAY_IT,
            )
        if image.name not in self._told:
            self._told.add(image.name)
            logger.warning(
                "the entry point of the image %s is not known, since neither the Docker engine of this machine nor its "
                "registry tells it; if it has one, its commands run without it: %s",
                image.name,
                SAY_IT,
            )
        return ()

    async def _find(self, image: DockerImage) -> StepImage:
        here = await asyncio.to_thread(self._inspect, image)
        if here is not None:
            return here
        name = image.pull or image.image_id
        if name is None:
            raise ImageError(
                f"the image {image.name} is to be loaded or built, which a cluster cannot do",
                hint="push it to a registry that the cluster pulls from, and name it by dockerPull",
            )
        found = await self._lookup(name)
        if found is None:
            return StepImage(name=name, entry_point=None)
        return StepImage(name=name, entry_point=found.entry_point, digests=found.digests)


def inspect_here(image: DockerImage) -> StepImage | None:
    """Look an image up in the Docker engine of this machine; one that is to be loaded or built is made there.

    Nothing is pulled: that is for the nodes to do.

    Raises:
        ImageError: It cannot be loaded or built.
    """
    try:
        from cwl_prefect.backends.docker_engine import DockerEngine

        engine = DockerEngine.connect()
    except (BackendError, ImportError):
        return None
    try:
        name = _name_here(engine, image)
        if name is None:
            return None
        return StepImage(name=name, entry_point=engine.entry_point(name), digests=engine.image_digests(name))
    finally:
        engine.close()


def _name_here(engine: "DockerEngine", image: DockerImage) -> str | None:
    for name in filter(None, (image.image_id, image.pull)):
        if image.file is None and engine.has_image(name):
            return name
    if image.pull is not None:
        return None
    if image.file is None and image.load is None and image.import_ is None:
        return None
    images = Images(engine, _here)
    return asyncio.run(images.get(image))


async def _here(function: Callable[[], str]) -> str:
    return function()


def logins(secrets: Iterable[KubernetesObject]) -> dict[str, Login]:
    """Give the credentials that pull secrets hold, by registry.

    Args:
        secrets: Secrets of the type ``kubernetes.io/dockerconfigjson``; others are passed over.
    """
    found: dict[str, Login] = {}
    for secret in secrets:
        encoded = text(secret, "data", ".dockerconfigjson")
        if not encoded:
            continue
        try:
            config = cast("KubernetesObject", json.loads(base64.b64decode(encoded)))
            entries = part(config, "auths").items()
            found |= {_host(address): _login(entry) for address, entry in entries if isinstance(entry, dict)}
        except ValueError:
            continue
    return found


def _login(entry: KubernetesObject) -> Login:
    username, password = text(entry, "username"), text(entry, "password")
    if not username and text(entry, "auth"):
        username, _, password = base64.b64decode(text(entry, "auth")).decode(errors="replace").partition(":")
    return Login(username=username, password=password)


def _host(address: str) -> str:
    return address.removeprefix("https://").removeprefix("http://").partition("/")[0]


def registry_lookup(registries: Registries) -> Lookup:
    """Give what describes images from their registries."""

    async def lookup(name: str) -> Described | None:
        """Describe an image; None where its registry does not."""
        try:
            return await registries.described(name)
        except RegistryError:
            return None

    return lookup
