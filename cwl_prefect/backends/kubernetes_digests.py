"""Which image a tag stands for, and whether a pod ran that very image.

A tag is resolved by its registry before the call. What the nodes have under it may be another image: one that they got
earlier, or, while a run goes on, a later one. So the digest counts only once the pod that ran says the same.
"""

import logging
import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from cwl_prefect.backends.base import UnidentifiedError
from cwl_prefect.backends.kubernetes_images import SAY_IT, StepImages, pinned_digest
from cwl_prefect.backends.kubernetes_launcher import launched_command
from cwl_prefect.backends.kubernetes_objects import KubernetesObject, text
from cwl_prefect.backends.kubernetes_outcomes import call_container, main_container
from cwl_prefect.backends.kubernetes_registry import Registries, RegistryError
from cwl_prefect.backends.once import Once
from cwl_prefect.errors import BackendError
from cwl_prefect.model.job import ContainerJob, DockerImage

logger = logging.getLogger(__name__)

_LAST_DIGEST = re.compile(r"(?:^|[:@/])([0-9a-f]{64})$")


class ImageDigests:
    """Tells the digests of a run's images, each resolved once.

    Why an image has none is logged once.

    Args:
        registries: Resolve tags.
        images: Tell what the pods are given for an image.
    """

    def __init__(self, registries: Registries, images: StepImages) -> None:
        self._images = images
        self._resolved: Once[str, str] = Once(registries.digest)
        self._told: set[str] = set()

    async def identify(self, image: DockerImage) -> str:
        """Give the digest that an image is named by, or that its tag stands for.

        Raises:
            UnidentifiedError: It cannot be told; the text says why.
        """
        pinned = pinned_digest(image)
        if pinned is not None:
            return pinned
        if image.load or image.file or image.import_ or image.pull is None:
            hint = "push it to a registry that the cluster pulls from, and name it by dockerPull"
            raise self._unidentified(image, "no registry has it", hint)
        try:
            return await self._resolved.get(image.pull)
        except RegistryError as error:
            raise self._unidentified(image, str(error), error.hint) from None

    async def ran(
        self, job: ContainerJob, pod: KubernetesObject | None, stated: Sequence[str] | None = None
    ) -> str | None:
        """Give the digest of the image that a job ran in: that of its name, or for a resolved tag what its pod tells.

        None is given too where nobody tells the image's entry point, so that the call ran without it, and where the
        pod, which another driver may have started, has another one.
        """
        if pod is None or job.image is None or job.image.pull is None:
            return None
        pinned = pinned_digest(job.image)
        if pinned is None and self._resolved.peek(job.image.pull) is None:
            return None
        try:
            known = (await self._images.get(job.image)).entry_point
        except BackendError:
            return None
        entry_point = stated if stated is not None else known
        if entry_point is None or _command(pod) != [*entry_point, *job.command]:
            return None
        return pinned or ran_digest(pod)

    async def doubt(self, image: DockerImage, ran: str | None) -> str | None:
        """Tell why a call did not surely run in the image that was identified; None where it did.

        Args:
            image: What the call asked for; it was identified before.
            ran: The digest that the pod told.
        """
        if pinned_digest(image) is not None:  # nodes run nothing else under a digest
            return (
                self._tell(image, "its call did not surely run with its entry point", SAY_IT) if ran is None else None
            )
        wanted = await self.identify(image)
        if ran is None:
            return self._tell(image, "the cluster does not tell which image ran", "name the image by its digest")
        known = (await self._images.get(image)).digests
        return None if wanted in known and ran in known else self._tell(image, *_difference(wanted, ran, known))

    def _unidentified(self, image: DockerImage, why: str, hint: str) -> UnidentifiedError:
        return UnidentifiedError(self._tell(image, why, hint))

    def _tell(self, image: DockerImage, why: str, hint: str) -> str:
        if image.name not in self._told:
            self._told.add(image.name)
            logger.warning("calls in the image %s are not cached: %s; %s", image.name, why, hint)
        return f"what ran of its image {image.name} is not sure: {why}; {hint}"


def ran_digest(pod: KubernetesObject) -> str | None:
    """Give the digest of the image that a pod's call ran in, as the node tells it; None where it does not.

    Engines name it by repository and digest of a manifest or an index, or, where no registry has it, by the digest of
    its configuration.
    """
    found = _LAST_DIGEST.search(text(main_container(pod), "imageID"))
    return None if found is None else f"sha256:{found[1]}"


def _command(pod: KubernetesObject) -> list[str]:
    words = call_container(pod).get("command")
    if not isinstance(words, list):
        return []
    return [word.replace("$$", "$") for word in launched_command([str(word) for word in words])]


def _difference(wanted: str, ran: str, known: AbstractSet[str]) -> tuple[str, str]:
    """Tell what does not fit together, and what to do about it."""
    if wanted in known or ran != wanted:
        return (
            f"its tag stands for {_short(wanted)} in the registry, and a node ran {_short(ran)}",
            "let the work pool's job template pull always (imagePullPolicy), or name the image by its digest",
        )
    if not known:
        return "its entry point cannot be found", SAY_IT
    return (
        "its entry point was read from another image of this name",
        "if the Docker engine of this machine has it, pull it anew; or name the image by its digest",
    )


def _short(digest: str) -> str:
    return digest[: len("sha256:") + 12]
