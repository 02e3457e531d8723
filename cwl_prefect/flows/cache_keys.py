"""Make the keys of a run's calls: gather what they are made of, without reading any file twice."""

import asyncio
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import ParamSpec, TypeVar

from cwl_prefect.backends.base import Backend, Identifying, UnidentifiedError
from cwl_prefect.cwl.reuse import reuse_wanted, tool_identity
from cwl_prefect.engine.cache_key import call_key
from cwl_prefect.engine.checksums import Checksums
from cwl_prefect.engine.fingerprint import Fingerprints, NotReusableError
from cwl_prefect.model.cache import CallKey, ToolIdentity
from cwl_prefect.model.job import DockerImage
from cwl_prefect.model.names import without_indices
from cwl_prefect.model.plan import ToolPlan
from cwl_prefect.model.values import CwlObject, CwlValue, file_objects
from cwl_prefect.settings import CacheMode, Settings, search_path

FEW_FILES = 16
"""Small files that are read or written in no more time than a hop to a thread takes."""

P = ParamSpec("P")
T = TypeVar("T")


class CallKeys:
    """Makes keys; what is the same for many calls of a run is found out once.

    Args:
        checksums: Knows the checksums of files.
        settings: What counts of an input file.
        ontology: Format hierarchy of the run's plan.
        threads: Read files and directories.
    """

    def __init__(
        self,
        checksums: Checksums,
        settings: Settings,
        ontology: tuple[tuple[str, str, str], ...],
        threads: ThreadPoolExecutor,
    ) -> None:
        self._checksums = checksums
        self._by_metadata = settings.cache_mode is CacheMode.METADATA
        self._ontology = ontology
        self._threads = threads
        self._identities: dict[tuple[str, bool], ToolIdentity] = {}
        self._runners: dict[tuple[str, str], dict[str, CwlValue]] = {}
        self._reading: dict[Path, asyncio.Future[str]] = {}

    async def make(
        self, tool: ToolPlan, values: CwlObject, backend: Backend, *, step: str, name: str
    ) -> tuple[Fingerprints, CallKey]:
        """Make the key of a call; gives the fingerprints of its files too.

        Args:
            tool: Its tool.
            values: Its inputs.
            backend: Where it would run.
            step: Path of its step.
            name: Its name in errors.

        Raises:
            NotReusableError: It has none; the text says why.
            CwlPrefectError: Its image cannot be had, or ``enableReuse`` cannot be evaluated.
        """
        identity = self.identity(tool, containers=backend.capabilities.containers)
        if not reuse_wanted(identity, tool, values, name=name):
            raise NotReusableError("its WorkReuse says so")
        if identity.obstacle is not None:
            raise NotReusableError(identity.obstacle)
        return await self.of(identity, values, await self.runner(identity, backend, step))

    async def of(
        self, identity: ToolIdentity, values: CwlObject, runner: dict[str, CwlValue]
    ) -> tuple[Fingerprints, CallKey]:
        """Make the key of a call whose tool and runner are known; gives the fingerprints of its files too.

        Raises:
            NotReusableError: It has none; the text says why.
        """
        take = partial(call_key, identity, values, runner)
        return await self.fingerprinted(take, visible=identity.visible, walks=_takes_long(values))

    async def fingerprinted(
        self, take: Callable[[Fingerprints], T | None], *, visible: frozenset[str], walks: bool
    ) -> tuple[Fingerprints, T]:
        """Make something of fingerprints of files, computing the checksums of large files beforehand.

        Args:
            take: Makes it; None where checksums must be computed first.
            visible: Fields of File and Directory objects that count.
            walks: Whether that takes so long that it is done in a thread.

        Raises:
            NotReusableError: A file has no fingerprint.
        """
        while True:
            fingerprints = Fingerprints(checksums=self._checksums, visible=visible, by_metadata=self._by_metadata)
            made = await self._in_thread(take, fingerprints) if walks else take(fingerprints)
            if made is not None:
                return fingerprints, made
            await asyncio.gather(*map(self._checksum, dict.fromkeys(fingerprints.unread)))

    async def _checksum(self, path: Path) -> None:
        """Compute the checksum of a large file, once however many calls need it."""
        reading = self._reading.get(path)
        if reading is None:
            reading = asyncio.ensure_future(self._in_thread(self._checksums.compute, path))
            self._reading[path] = reading
            reading.add_done_callback(lambda _: self._reading.pop(path, None))
        try:
            await asyncio.shield(reading)
        except OSError as error:
            raise NotReusableError(f"{path} cannot be read: {error}") from error

    def identity(self, tool: ToolPlan, *, containers: bool) -> ToolIdentity:
        """Tell what of a tool matters to its calls; ``containers`` tells whether it runs in its image."""
        found = self._identities.get((tool.digest, containers))
        if found is None:
            found = tool_identity(tool, self._ontology, containers=containers)
            self._identities[tool.digest, containers] = found
        return found

    async def runner(self, identity: ToolIdentity, backend: Backend, step: str) -> dict[str, CwlValue]:
        """Tell what the calls of a step run in; the entry ``name`` is for people only.

        Raises:
            NotReusableError: That cannot be told.
            CwlPrefectError: The image cannot be had.
        """
        path = without_indices(step)
        known = (path, repr((backend.name, identity.image, identity.command)))
        if known not in self._runners:
            named = await _identified(backend, identity.image, path)
            if identity.image is not None:
                self._runners[known] = {"image": named, "name": identity.image.name}
            else:
                command = await self._in_thread(_command_checksum, identity.command, self._checksums)
                self._runners[known] = {"process": named, "command": command, "name": identity.command}
        return self._runners[known]

    async def _in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: function(*args, **kwargs))


async def _identified(backend: Backend, image: DockerImage | None, step: str) -> str:
    try:
        named = await backend.identify(image, step=step) if isinstance(backend, Identifying) else None
    except UnidentifiedError as error:
        raise NotReusableError(str(error)) from error
    if named is None:
        raise NotReusableError(f"the backend {backend.name} cannot tell what it runs in")
    return named


def _takes_long(values: CwlObject) -> bool:
    """Tell whether there are more files to look at than the event loop should wait for."""
    found = list(islice(file_objects(values), FEW_FILES + 1))
    return len(found) > FEW_FILES or any(value["class"] == "Directory" for value in found)


def _command_checksum(command: str | None, checksums: Checksums) -> str | None:
    """Give the checksum of the program that a command names on this machine, or None where it cannot be told."""
    found = None if command is None else shutil.which(command, path=search_path())
    if found is None or (command is not None and "/" in command and not command.startswith("/")):
        return None
    path = Path(found).resolve()
    try:
        return checksums.known(path, path.stat()) or checksums.compute(path)
    except OSError:
        return None
