"""Choose the backend of each call: an image runs in Docker or on Kubernetes, the rest as processes."""

import asyncio
from collections.abc import Callable
from functools import partial

from cwl_prefect.backends.base import Backend
from cwl_prefect.backends.job_variables import JobVariables
from cwl_prefect.cwl.bind import docker_requirement
from cwl_prefect.errors import UnsupportedError
from cwl_prefect.flows.pool import DOCKER, KUBERNETES, PROCESS, StepsPool, job_variables, on_kubernetes
from cwl_prefect.model.plan import ToolPlan
from cwl_prefect.settings import BackendName, Settings


def _local() -> Backend:
    from cwl_prefect.backends.local import LocalBackend

    return LocalBackend()


def _docker(settings: Settings, pool: StepsPool | None, variables: JobVariables | None) -> Backend:
    from cwl_prefect.backends.docker import DockerBackend

    return DockerBackend(
        variables or job_variables(settings, pool),
        client=None if pool is None else pool.client,
        strict_limits=settings.strict_limits,
        workspaces=settings.runs,
    )


def _kubernetes(settings: Settings, pool: StepsPool | None, variables: JobVariables | None) -> Backend:
    from cwl_prefect.backends.kubernetes import KubernetesBackend

    variables = variables or job_variables(settings, pool)
    if pool is None:
        return KubernetesBackend(settings, variables)
    return KubernetesBackend(settings, variables, client=pool.client, pool=pool.name)


def _docker_answers() -> bool:
    from cwl_prefect.backends.choice import docker_available

    return docker_available()


class Backends:
    """The backends of one run, each opened when it is first needed.

    Args:
        settings: Say which backend is wanted.
        pool: Work pool whose job template steps use; a Docker pool's decides how their containers are made, a
            Kubernetes pool's how their Jobs are.
        variables: Job variables of steps; those of the pool and the settings where none are given.
        containers: Makes the backend that runs images; Docker or Kubernetes where none is given.
        processes: Makes the backend that runs processes.
        available: Tells whether images can be run at all.

    Attributes:
        cluster: Whether images run on other machines, which a cluster chooses.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        pool: StepsPool | None = None,
        variables: JobVariables | None = None,
        containers: Callable[[], Backend] | None = None,
        processes: Callable[[], Backend] = _local,
        available: Callable[[], bool] = _docker_answers,
    ) -> None:
        self._wanted = settings.backend
        self._pool_type = None if pool is None else pool.type
        self.cluster = containers is None and on_kubernetes(settings, pool)
        self._default_image = settings.kubernetes_default_image
        engine = _kubernetes if self.cluster else _docker
        self._make = {True: containers or partial(engine, settings, pool, variables), False: processes}
        self._available = available
        self._open: dict[bool, Backend] = {}
        self._answers: bool | None = None

    @classmethod
    def of(cls, backend: Backend, settings: Settings) -> "Backends":
        """Give backends that are one and the same."""
        anything = settings.model_copy(update={"backend": BackendName.AUTO})
        return cls(anything, containers=lambda: backend, processes=lambda: backend, available=lambda: True)

    async def choose(self, tool: ToolPlan, *, name: str) -> Backend:
        """Give the backend that a tool's call runs on.

        Raises:
            UnsupportedError: The tool requires an image, and only processes are wanted; or the pool is of another type.
            BackendError: The tool requires an image, and no engine answers.
        """
        image, required = docker_requirement(tool)
        if self.cluster and (image is not None or self._default_image is not None):
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
            from cwl_prefect.backends.docker_checks import no_engine

            raise no_engine(f"{name}: the tool needs the image {image.name}")
        return self._backend(containers=False)

    async def close(self) -> None:
        """Close every backend that was opened."""
        while self._open:
            _, backend = self._open.popitem()
            await backend.close()

    async def _engine_answers(self) -> bool:
        if self._answers is None:
            self._answers = await asyncio.to_thread(self._available)
        return self._answers

    def _backend(self, *, containers: bool) -> Backend:
        if containers not in self._open:
            self._open[containers] = self._make[containers]()
        return self._open[containers]
