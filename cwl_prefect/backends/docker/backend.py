"""Runs jobs as containers of a Docker engine."""

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from cwl_prefect._lib.cancellation import shielded
from cwl_prefect._lib.single_flight import Once, ignore_error
from cwl_prefect.backends.base import Capabilities, JobHandle
from cwl_prefect.backends.docker.adoption import KEPT_LOG, NO_LOG, adopt
from cwl_prefect.backends.docker.containers import Launch, launch
from cwl_prefect.backends.docker.engine import DockerEngine
from cwl_prefect.backends.docker.images import Images
from cwl_prefect.backends.docker.measuring import Measuring
from cwl_prefect.backends.docker.template import DockerDefaults, container_settings, docker_defaults
from cwl_prefect.backends.job_template.configuration import import_worker
from cwl_prefect.backends.job_template.job_variables import JobVariables, packaged_template
from cwl_prefect.backends.naming import resource_name
from cwl_prefect.backends.outcomes import timed_out
from cwl_prefect.errors import BackendError
from cwl_prefect.model.job import ContainerJob, DockerImage, JobOutcome

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

_CAPABILITIES = Capabilities(containers=True, mounts=True, outlives_driver=True)
_AT_ONCE = 16  # containers that are being made or removed: more only wait for each other inside the engine
_GIVE_UP_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """A connected engine and what holds for every container on it."""

    engine: DockerEngine
    user: str
    log_config: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Merged:
    """What holds for the containers of all steps with the same job variables."""

    defaults: DockerDefaults
    images: Images


class DockerBackend:
    """Runs each job as a container of its own.

    Containers get no network unless the job asks for one, a read-only root, the caller's user and group, and exactly
    the job's environment on top of the image's own. The image's entry point is kept. The engine must see the job's
    files at the same paths as this process does.

    Args:
        variables: Job template of a Docker work pool and the job variables over it; the packaged template where none
            is given.
        client: Resolves blocks and variables that the template refers to.
        strict_limits: Make the cores and memory that a step asks for the most that it may use. Off by default: CWL
            asks for what is reserved, and where a document says nothing the specification's default would be a limit
            that its author never thought of.
        build_network: Whether the commands of a document's ``dockerFile`` may use a network.
        workspaces: Directory of all workspaces, whose volume is the platform's own.
    """

    def __init__(
        self,
        variables: JobVariables | None = None,
        *,
        client: "PrefectClient | None" = None,
        strict_limits: bool = False,
        build_network: bool = False,
        workspaces: Path | None = None,
    ) -> None:
        self._variables = variables or JobVariables(template=packaged_template("docker"))
        self._client = client
        self._strict_limits = strict_limits
        self._build_network = build_network
        self._workspaces = workspaces
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._engine: Once[None, DockerEngine] = Once(lambda _: DockerEngine.connect())
        self._ready: Once[None, _Ready] = Once(lambda _: self._prepare())
        self._merged: Once[tuple[str, ...], _Merged] = Once(self._merge)
        self._opened: list[Images] = []
        self._running: dict[str, Launch] = {}
        self._measuring = Measuring()

    @property
    def name(self) -> str:
        """Name for people."""
        return "docker"

    @property
    def capabilities(self) -> Capabilities:
        """Containers, which see files where they are mounted."""
        return _CAPABILITIES

    async def identify(self, image: DockerImage | None, *, step: str) -> str | None:
        """Return the digest of an image, getting the image where it is not here yet, and of what the platform gives.

        Raises:
            ImageError: The image cannot be had.
            BackendError: The engine does not answer.
        """
        if image is None:
            return None
        merged = await self._merged.get(self._variables.patterns_of(step))
        digest = (await merged.images.get(image)).id
        environment = await asyncio.to_thread(merged.defaults.environment_digest, self._workspaces)
        return digest if environment is None else f"{digest} with environment {environment}"

    async def start(self, job: ContainerJob) -> JobHandle:
        """Get the job's image and start a container.

        Raises:
            ImageError: The image cannot be had.
            BackendError: The engine does not answer or refuses the container.
        """
        if job.image is None:
            raise BackendError(f"{job.name} names no image", hint="run it with the local backend")
        ready = await self._ready.get(None)
        merged = await self._merged.get(self._variables.patterns_of(job.name))
        image = (await merged.images.get(job.image)).id
        settings = container_settings(
            job,
            merged.defaults,
            image=image,
            user=ready.user,
            strict_limits=self._strict_limits,
            log_config=NO_LOG if job.stdin is not None else ready.log_config,
        )
        further_networks = merged.defaults.networks[1:] if job.network else ()
        launching: asyncio.Future[Launch] | None = None
        try:
            async with self._turns:
                launching = asyncio.ensure_future(
                    launch(ready.engine, job, settings, further_networks, measuring=self._measuring)
                )
                return self._remembered(replace(await asyncio.shield(launching), image=image))
        except asyncio.CancelledError:
            if launching is not None:
                await shielded(self._abandon(launching))
            raise

    async def adopt(self, job: ContainerJob) -> JobHandle | None:
        """Follow the container of a job whose driver is gone; one that cannot be followed is removed.

        Raises:
            BackendError: The engine does not answer.
        """
        engine = await self._engine.get(None)
        merged = await self._merged.get(self._variables.patterns_of(job.name))
        image = None if job.image is None else merged.images.known_digest(job.image)
        try:
            async with self._turns:
                adopted = await adopt(engine, job, image)
        except asyncio.CancelledError:
            await shielded(engine.remove(resource_name(job.job_id)))
            raise
        return None if adopted is None else self._remembered(adopted)

    async def wait(self, handle: JobHandle) -> JobOutcome:
        """Wait for the container to end; one past its time limit is killed.

        Raises:
            BackendError: The job is not one of this backend or was deleted, or its output cannot be written.
        """
        running = self._running.get(handle.reference)
        if running is None:
            raise BackendError(f"no container {handle.reference[:12]} of {handle.job.name} was started here")
        limit_s = handle.job.timeout_s
        remaining_s = None if limit_s is None else max(0.0, running.started_s + limit_s - time.monotonic())
        await asyncio.wait([running.ended], timeout=remaining_s)
        if running.ended.done():
            return replace(running.ended.result(), image_digest=running.image)
        engine = await self._engine.get(None)
        await engine.kill(handle.reference)
        await asyncio.wait([running.ended], timeout=_GIVE_UP_S)
        return timed_out(handle.job, running.started_at)

    async def delete(self, handle: JobHandle) -> None:
        """Kill and remove the container, if there is one.

        Raises:
            BackendError: The engine cannot remove it.
        """
        running = self._running.get(handle.reference)
        if running is None or running.exists:
            engine = await self._engine.get(None)
            await self._remove(engine, handle.reference)
        if running is not None:
            await asyncio.wait([running.ended], timeout=_GIVE_UP_S)
            running.ended.cancel()
        self._running.pop(handle.reference, None)

    async def reap(self, labels: Mapping[str, str]) -> int:
        """Remove every container with all these labels, whoever started it, and return how many there were.

        Args:
            labels: At least one label, as ``{FLOW_RUN_LABEL: flow_run_id}``; an empty mapping removes nothing.

        Raises:
            BackendError: The engine does not answer, or cannot remove one of them.
        """
        if not labels:
            return 0
        engine = await self._engine.get(None)
        found = await engine.find(labels)
        await asyncio.gather(*(self._remove(engine, identifier) for identifier in found))
        return len(found)

    async def values_of(self, label: str) -> frozenset[str]:
        """Return the values that any containers have for a label.

        Raises:
            BackendError: The engine does not answer.
        """
        engine = await self._engine.get(None)
        return await engine.values_of(label)

    async def close(self) -> None:
        """Remove what still runs, stop pulls, and give back connections."""
        engine = self._engine.peek(None)
        self._measuring.close()
        for images in self._opened:
            images.close()
        handles = [JobHandle(job=item.job, reference=name) for name, item in self._running.items()]
        problems = await asyncio.gather(*map(self.delete, handles), return_exceptions=True)
        if engine is not None:
            await engine.close()
        for problem in problems:
            if problem is not None:
                raise problem

    async def _prepare(self) -> _Ready:
        engine = await self._engine.get(None)
        await import_worker("Docker", else_hint=", or run with --no-container")
        info = await engine.info()
        # Root inside a rootless engine is the user outside; files of any other would not be the caller's.
        user = "0:0" if info.rootless else f"{os.geteuid()}:{os.getegid()}"
        kept = KEPT_LOG["type"] in (info.log_drivers or ())
        return _Ready(engine=engine, user=user, log_config=KEPT_LOG if kept else NO_LOG)

    async def _merge(self, patterns: tuple[str, ...]) -> _Merged:
        ready = await self._ready.get(None)
        defaults = await docker_defaults(self._variables.with_patterns(patterns), client=self._client)
        images = Images(
            ready.engine, policy=defaults.pull_policy, login=defaults.login, build_network=self._build_network
        )
        self._opened.append(images)
        return _Merged(defaults=defaults, images=images)

    def _remembered(self, launched: Launch) -> JobHandle:
        launched.ended.add_done_callback(ignore_error)
        self._running[launched.reference] = launched
        return JobHandle(job=launched.job, reference=launched.reference)

    async def _abandon(self, launching: asyncio.Future[Launch]) -> None:
        """Remove a container that nobody waits for any more, as soon as it is made."""
        with suppress(BackendError):  # it was not made after all
            await self.delete(self._remembered(await launching))

    async def _remove(self, engine: DockerEngine, reference: str) -> None:
        async with self._turns:
            await engine.remove(reference)
