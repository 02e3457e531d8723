"""Choose the backend of each call: an image runs in Docker or on Kubernetes, the rest as processes."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial

from cwl_prefect.backends.base import Backend
from cwl_prefect.backends.fake import FakeBackend
from cwl_prefect.backends.job_template.job_variables import JobVariables
from cwl_prefect.cwl.binding.bind import docker_requirement
from cwl_prefect.errors import UnsupportedError
from cwl_prefect.flows.execution.work_pool import DOCKER, KUBERNETES, PROCESS, StepsPool, job_variables, on_kubernetes
from cwl_prefect.model.job import DockerImage
from cwl_prefect.model.plan import ToolPlan
from cwl_prefect.settings import BackendName, Settings

logger = logging.getLogger(__name__)


def _local() -> Backend:
    from cwl_prefect.backends.local.backend import LocalBackend

    return LocalBackend()


def _docker(settings: Settings, pool: StepsPool | None, variables: JobVariables | None) -> Backend:
    from cwl_prefect.backends.docker.backend import DockerBackend

    return DockerBackend(
        variables or job_variables(settings, pool),
        client=None if pool is None else pool.client,
        strict_limits=settings.strict_limits,
        build_network=settings.docker_build_network,
        workspaces=settings.runs,
    )


def _kubernetes(settings: Settings, pool: StepsPool | None, variables: JobVariables | None) -> Backend:
    from cwl_prefect.backends.kubernetes.backend import KubernetesBackend

    variables = variables or job_variables(settings, pool)
    if pool is None:
        return KubernetesBackend(settings, variables)
    return KubernetesBackend(settings, variables, client=pool.client, pool=pool.name)


async def _docker_answers() -> bool:
    from cwl_prefect.backends.docker.engine import engine_answers

    return await engine_answers()


async def _always() -> bool:
    return True


class Backends:
    """The backends of one run, each opened when it is first needed.

    Args:
        settings: Say which backend is wanted.
        pool: Work pool whose job template steps use; a Docker pool's decides how their containers are made, a
            Kubernetes pool's how their Jobs are.
        variables: Job variables of steps; those of the pool and the settings where none are given.
        containers: Makes the backend that runs images; Docker or Kubernetes where none is given.
        processes: Makes the backend that runs processes.
        available: Checks whether images can be run at all; asked once a run, so that all its calls are treated alike.

    Attributes:
        cluster: Whether images run on other machines, which a cluster chooses.
        fake: Whether nothing runs at all, as in tests.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        pool: StepsPool | None = None,
        variables: JobVariables | None = None,
        containers: Callable[[], Backend] | None = None,
        processes: Callable[[], Backend] = _local,
        available: Callable[[], Awaitable[bool]] = _docker_answers,
    ) -> None:
        self._wanted = settings.backend
        self._pool_type = None if pool is None else pool.type
        self.cluster = containers is None and on_kubernetes(settings, pool)
        self.fake = False
        self._default_image = settings.default_image
        self._contained = settings.require_containers
        engine = _kubernetes if self.cluster else _docker
        self._make = {True: containers or partial(engine, settings, pool, variables), False: processes}
        self._available = available
        self._open: dict[bool, Backend] = {}
        self._answers: bool | None = None
        self._warned = False

    @classmethod
    def of(cls, backend: Backend, settings: Settings) -> "Backends":
        """Return backends that are one and the same."""
        anything = settings.model_copy(update={"backend": BackendName.AUTO})
        made = cls(anything, containers=lambda: backend, processes=lambda: backend, available=_always)
        made.fake = isinstance(backend, FakeBackend)
        return made

    async def choose(self, tool: ToolPlan, *, name: str) -> Backend:
        """Return the backend that a tool's call runs on.

        Raises:
            UnsupportedError: The tool requires an image, and only processes are wanted; or the pool is of another type.
            BackendError: The tool requires an image, and no engine answers.
        """
        image, required = docker_requirement(tool)
        if image is None and self._default_image is not None and self._wanted is not BackendName.LOCAL:
            image = DockerImage(pull=self._default_image)
        if self._contained:
            self._demand_container(name, image)
            required = True
        if self.cluster and image is not None:
            return self._backend(containers=True)
        if image is None:
            return self._backend(containers=False)
        if self._pool_type not in (None, DOCKER, KUBERNETES, PROCESS) and self._wanted is not BackendName.LOCAL:
            raise UnsupportedError(
                f"{name}: the tool asks for the image {image.name}, and steps cannot run on a work pool of type "
                f"{self._pool_type} yet.",
                hint="Choose a Docker, Kubernetes or process pool by --steps-pool.",
            )
        if self._wanted is BackendName.LOCAL:
            if required:
                raise UnsupportedError(
                    f"{name}: the tool requires the image {image.name}, but containers are switched off.",
                    hint="Run with --backend docker, or make DockerRequirement a hint.",
                )
            return self._backend(containers=False)
        if await self._engine_answers():
            return self._backend(containers=True)
        if required or self._wanted is BackendName.DOCKER:
            from cwl_prefect.backends.docker.checks import no_engine

            raise no_engine(f"{name}: the tool needs the image {image.name}")
        self._warn_of_host(name, image.name)
        return self._backend(containers=False)

    def _demand_container(self, name: str, image: DockerImage | None) -> None:
        """Refuse a tool that only a process could run, where none may."""
        if image is None:
            raise UnsupportedError(
                f"{name}: the tool names no image, and tools may run in containers only.",
                hint="Name an image for such tools by --default-image.",
            )
        if self._wanted is BackendName.LOCAL:
            raise UnsupportedError(
                f"{name}: tools may run in containers only, but containers are switched off.",
                hint="Leave out --no-container and --backend local.",
            )

    async def close(self) -> None:
        """Close every backend that was opened."""
        while self._open:
            _, backend = self._open.popitem()
            await backend.close()

    async def _engine_answers(self) -> bool:
        if self._answers is None:
            self._answers = await self._available()
        return self._answers

    def _warn_of_host(self, name: str, image: str) -> None:
        if not self._warned:
            self._warned = True
            logger.warning(
                "%s: no Docker engine answers, so that tools with a hint of an image, as %s, run as processes of this "
                "machine, with what is installed on it. Start Docker, or say --backend local to run so on purpose.",
                name,
                image,
            )

    def _backend(self, *, containers: bool) -> Backend:
        if containers not in self._open:
            self._open[containers] = self._make[containers]()
        return self._open[containers]
