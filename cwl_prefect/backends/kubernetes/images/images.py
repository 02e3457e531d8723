"""What Kubernetes is to run for an image that a step asks for: its name, and the entry point that it brings.

A tag is resolved by its registry once a run, and pods run the image by the digest that it stands for then: no node may
have another one under that name, so that what ran is known before it runs. Where nobody tells a digest, pods run the
image as it is named, and their calls are not cached.

A call's command line is appended to the image's entry point (CWL CommandLineTool, §DockerRequirement), which a pod
with a command of its own replaces; so it is read from the engine of this machine if that has the very image, otherwise
from its registry.
"""

import base64
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from cwl_prefect._lib.single_flight import Once
from cwl_prefect.backends.base import UnidentifiedError
from cwl_prefect.backends.docker.descriptions import ImageDescription
from cwl_prefect.backends.docker.engine import DockerEngine
from cwl_prefect.backends.docker.images import Images
from cwl_prefect.backends.job_template.job_variables import ENTRY_POINT, StepVariables
from cwl_prefect.backends.kubernetes.images.registry import Login, Registries, RegistryError, by_digest
from cwl_prefect.backends.kubernetes.objects import KubernetesObject, part, read, text
from cwl_prefect.errors import BackendError, ImageError
from cwl_prefect.model.job import DockerImage

logger = logging.getLogger(__name__)

SAY_IT = (
    f"give the step the job variable {ENTRY_POINT} ([] for none), or let the run read the image's registry, with "
    "the pull secret that it takes"
)
"""What to do where nobody tells an image's entry point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalImage:
    """An image that the Docker engine of this machine has.

    Attributes:
        name: Its name there.
        entry_point: Words before every command.
        digests: All by which the engine knows it.
    """

    name: str
    entry_point: tuple[str, ...] = ()
    digests: frozenset[str] = frozenset()


Inspect = Callable[[DockerImage], Awaitable[LocalImage | None]]
"""Looks an image up in the Docker engine of this machine; None where there is no engine or no such image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepImage:
    """An image as a pod names it, and the words that come before the command.

    Attributes:
        name: Its name, by digest where that is known.
        digest: Of its manifest or index; None where nobody tells it.
        entry_point: The words; None where nobody tells them.
        unknown: Why there is no digest, and what to do about that.
    """

    name: str
    digest: str | None = None
    entry_point: tuple[str, ...] | None = None
    unknown: str = ""


def pinned_digest(image: DockerImage) -> str | None:
    """Return the digest in an image's name, or None for a mere tag, which may stand for different images."""
    _, separator, digest = (image.pull or "").partition("@sha256:")
    return f"sha256:{digest}" if separator and not _is_made(image) else None


def _is_made(image: DockerImage) -> bool:
    return bool(image.load or image.file or image.import_)


def stated_entry_point(step: StepVariables) -> tuple[str, ...] | None:
    """Return the entry point that job variables say a step's image has, or None where they say nothing.

    Raises:
        BackendError: What they say is no list of words.
    """
    words = step.values.get(ENTRY_POINT)
    if words is None:
        return None
    found = tuple(word for word in words if isinstance(word, str)) if isinstance(words, list) else None
    if found is None or not isinstance(words, list) or len(found) != len(words):
        givers = " or ".join(step.patterns) or "the deployment or run"
        raise BackendError(
            f"{givers}: the job variable {ENTRY_POINT} must be a list of words, and is {json.dumps(words)}",
            hint='write it as ["/entry.sh"], or as [] where the image has none',
        )
    return found


class StepImages:
    """Finds each image's name, digest and entry point once a run.

    Args:
        registries: Resolve tags.
        inspect: Asks the engine of this machine.
        by_digest: Whether pods run images by digest although a step names them by tag.
    """

    def __init__(self, registries: Registries, inspect: Inspect, *, by_digest: bool = True) -> None:
        self._registries = registries
        self._inspect = inspect
        self._by_digest = by_digest
        self._once: Once[tuple[DockerImage, str], StepImage] = Once(self._find)
        self._warned: set[str] = set()

    async def get(self, image: DockerImage, *, pull_policy: str = "") -> StepImage:
        """Return what a pod has to run.

        Args:
            image: What the step asks for.
            pull_policy: Of its container; where nodes pull nothing, they may know an image by its tag alone.

        Raises:
            ImageError: The image is to be made from a file, which takes a Docker engine that the cluster shares.
        """
        return await self._once.get((image, pull_policy))

    def identified(self, image: DockerImage, found: StepImage, stated: Sequence[str] | None) -> str:
        """Return the digest that pods run an image by; that there is none is logged once an image.

        Args:
            image: What the step asks for.
            found: What pods run for it.
            stated: Its entry point, where job variables state it.

        Raises:
            UnidentifiedError: Nobody tells the digest or the entry point.
        """
        unknown = found.unknown
        if found.entry_point is None and stated is None:
            unknown = unknown or f"nobody tells its entry point; {SAY_IT}"
        if found.digest is not None and not unknown:
            return found.digest
        if image.name not in self._warned:
            self._warned.add(image.name)
            logger.warning("calls in the image %s are not cached: %s", image.name, unknown)
        raise UnidentifiedError(f"what runs of its image {image.name} is not sure: {unknown}")

    def entry_point(self, image: StepImage, command: Sequence[str]) -> tuple[str, ...]:
        """Return the words before a call's command; none, with one warning an image, where nobody tells them.

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
        told = f"{image.name} entry point"
        if told not in self._warned:
            self._warned.add(told)
            logger.warning(
                "the entry point of the image %s is not known, since neither the Docker engine of this machine nor its "
                "registry tells it; if it has one, its commands run without it: %s",
                image.name,
                SAY_IT,
            )
        return ()

    async def _find(self, wanted: tuple[DockerImage, str]) -> StepImage:
        image, pull_policy = wanted
        here = await self._inspect(image)
        if image.pull is None or _is_made(image):
            return _made_here(image, here)
        digest, unknown = await self._digest(image, image.pull, pull_policy)
        if digest is None:
            name = image.pull if here is None else here.name
            words = await self._described(image.pull) if here is None else here.entry_point
            return StepImage(name=name, entry_point=words, unknown=unknown)
        name = by_digest(image.pull, digest)
        known = here is not None and digest in here.digests
        words = here.entry_point if here is not None and known else await self._described(name)
        return StepImage(name=name, digest=digest, entry_point=words)

    async def _digest(self, image: DockerImage, name: str, pull_policy: str) -> tuple[str | None, str]:
        """Return the digest that a name stands for; None, and why, where it is not known or not to be used."""
        pinned = pinned_digest(image)
        if pinned is not None:
            return pinned, ""
        if not self._by_digest:
            return None, "pods run it by its tag; leave CWL_PREFECT_KUBERNETES_IMAGES_BY_DIGEST at its default"
        if pull_policy == "Never":
            return None, "nodes have it by its tag, since they pull nothing (imagePullPolicy: Never); name its digest"
        try:
            return await self._registries.digest(name), ""
        except RegistryError as error:
            return None, f"{error}; {error.hint}"

    async def _described(self, name: str) -> tuple[str, ...] | None:
        try:
            return await self._registries.entry_point(name)
        except RegistryError:
            return None


def _made_here(image: DockerImage, here: LocalImage | None) -> StepImage:
    name = image.image_id if here is None else here.name
    if name is None:
        raise ImageError(
            f"the image {image.name} is to be loaded or built, which a cluster cannot do",
            hint="push it to a registry that the cluster pulls from, and name it by dockerPull",
        )
    unknown = "no registry has it; push it to one that the cluster pulls from, and name it by dockerPull"
    return StepImage(name=name, entry_point=None if here is None else here.entry_point, unknown=unknown)


async def inspect_here(image: DockerImage) -> LocalImage | None:
    """Look an image up in the Docker engine of this machine; one that is to be loaded or built is made there.

    Nothing is pulled: that is for the nodes to do.

    Raises:
        ImageError: It cannot be loaded or built.
    """
    try:
        engine = await DockerEngine.connect()
    except BackendError:
        return None
    try:
        found = await _found_here(engine, image)
    finally:
        await engine.close()
    if found is None:
        return None
    return LocalImage(name=found.name, entry_point=found.entry_point, digests=found.digests)


async def _found_here(engine: DockerEngine, image: DockerImage) -> ImageDescription | None:
    for name in filter(None, (image.image_id, image.pull)):
        found = None if image.file is not None else await engine.image(name)
        if found is not None:
            return found
    if image.pull is not None or not _is_made(image):
        return None
    return await Images(engine).get(image)


def logins(secrets: Iterable[KubernetesObject]) -> dict[str, Login]:
    """Return the credentials that pull secrets hold, by registry.

    Args:
        secrets: Secrets of the type ``kubernetes.io/dockerconfigjson``; others are passed over.
    """
    found: dict[str, Login] = {}
    for secret in secrets:
        encoded = text(secret, "data", ".dockerconfigjson")
        if not encoded:
            continue
        try:
            config = read(base64.b64decode(encoded))
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
