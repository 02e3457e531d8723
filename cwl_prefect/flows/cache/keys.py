"""Make the keys of a run's calls: gather what they are made of, without reading any file twice."""

import asyncio
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from cwl_prefect._lib.single_flight import Once
from cwl_prefect._lib.threads import in_thread
from cwl_prefect.backends.base import Backend, Identifying, UnidentifiedError
from cwl_prefect.cwl.binding.reuse import reuse_wanted, tool_identity
from cwl_prefect.engine.cache.checksums import Checksums
from cwl_prefect.engine.cache.fingerprint import Fingerprints, NotReusableError
from cwl_prefect.engine.cache.key import call_key, effective_inputs, narrowed, seen
from cwl_prefect.environment import search_path
from cwl_prefect.model.cache import CallKey, Read, ToolIdentity
from cwl_prefect.model.job import DockerImage
from cwl_prefect.model.names import without_indices
from cwl_prefect.model.plan import ToolPlan
from cwl_prefect.model.values import CwlObject, CwlValue, file_objects
from cwl_prefect.settings import CacheMode, Settings

FEW_FILES = 16
"""Small files that are read or written in no more time than a hop to a thread takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed:
    """A call with its key.

    Attributes:
        key: The key.
        fingerprints: Those of its files.
        inputs: Its inputs, or their defaults.
        resources: What its tool asks for of the machine.
    """

    key: CallKey
    fingerprints: Fingerprints
    inputs: CwlObject
    resources: CwlValue

    def seen(self, reads: Iterable[Read]) -> CwlObject:
        """Return what the call gives to expressions that read these fields."""
        return seen(reads, self.inputs, self.resources)

    def narrowed(self, seen: CwlObject) -> "Keyed":
        """Return the call with the key that it has where another one has the plain key."""
        return replace(self, key=narrowed(self.key, seen))


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
        self._commands: Once[str | None, str | None] = Once(
            lambda command: in_thread(threads, _command_checksum, command, checksums)
        )
        self._reading: dict[Path, asyncio.Future[str]] = {}

    async def make(self, tool: ToolPlan, values: CwlObject, backend: Backend, *, step: str, name: str) -> Keyed:
        """Make the key of a call.

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
        take = partial(call_key, identity, values, await self.runner(identity, backend, step))
        walks = _takes_long(values)
        while True:
            fingerprints = Fingerprints(checksums=self._checksums, by_metadata=self._by_metadata)
            made = await in_thread(self._threads, take, fingerprints) if walks else take(fingerprints)
            if made is not None:
                given = effective_inputs(identity, values)
                return Keyed(key=made, fingerprints=fingerprints, inputs=given, resources=identity.resources)
            await asyncio.gather(*map(self._checksum, dict.fromkeys(fingerprints.unread)))

    async def _checksum(self, path: Path) -> None:
        """Compute the checksum of a large file, once however many calls need it."""
        reading = self._reading.get(path)
        if reading is None:
            reading = asyncio.ensure_future(in_thread(self._threads, self._checksums.compute, path))
            self._reading[path] = reading
            reading.add_done_callback(lambda _: self._reading.pop(path, None))
        try:
            await asyncio.shield(reading)
        except OSError as error:
            raise NotReusableError(f"{path} cannot be read: {error}") from error

    def identity(self, tool: ToolPlan, *, containers: bool) -> ToolIdentity:
        """Return what of a tool matters to its calls; ``containers`` tells whether it runs in its image."""
        found = self._identities.get((tool.digest, containers))
        if found is None:
            found = tool_identity(tool, self._ontology, containers=containers)
            self._identities[tool.digest, containers] = found
        return found

    async def runner(self, identity: ToolIdentity, backend: Backend, step: str) -> dict[str, CwlValue]:
        """Return what the calls of a step run in; the entry ``name`` is for people only.

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
                command = await self._commands.get(identity.command)
                self._runners[known] = {"process": named, "command": command, "name": identity.command}
        return self._runners[known]


async def _identified(backend: Backend, image: DockerImage | None, step: str) -> str:
    try:
        named = await backend.identify(image, step=step) if isinstance(backend, Identifying) else None
    except UnidentifiedError as error:
        raise NotReusableError(str(error)) from error
    if named is None:
        raise NotReusableError(f"the backend {backend.name} cannot tell what it runs in")
    return named


def _takes_long(values: CwlObject) -> bool:
    """Check whether there are more files to look at than the event loop should wait for."""
    found = list(islice(file_objects(values), FEW_FILES + 1))
    return len(found) > FEW_FILES or any(value["class"] == "Directory" for value in found)


def _command_checksum(command: str | None, checksums: Checksums) -> str | None:
    """Return the checksum of the program that a command names on this machine, or None where it cannot be told."""
    found = None if command is None else shutil.which(command, path=search_path())
    if found is None or (command is not None and "/" in command and not command.startswith("/")):
        return None
    path = Path(found).resolve()
    try:
        return checksums.known(path, path.stat()) or checksums.compute(path)
    except OSError:
        return None
