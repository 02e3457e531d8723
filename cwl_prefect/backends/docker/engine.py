"""The few things that a Docker engine must do for us."""

import asyncio
import hashlib
import io
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import cast
from urllib.parse import quote

import anyio

from cwl_prefect.backends.docker.address import engine_address
from cwl_prefect.backends.docker.api import EngineApi
from cwl_prefect.backends.docker.descriptions import (
    ANSWER,
    LISTED,
    Description,
    Ended,
    EngineInfo,
    EngineVersion,
    Event,
    ImageDescription,
    Listed,
)
from cwl_prefect.backends.docker.errors import (
    ContainerGoneError,
    RefusedError,
    engine_errors,
    image_errors,
    refusal,
)
from cwl_prefect.backends.docker.registry_login import RegistryLogin, build_headers, pull_headers
from cwl_prefect.backends.docker.streams import Attachment
from cwl_prefect.backends.naming import BUILT_LABEL, JOB_LABEL
from cwl_prefect.errors import BackendError, ImageError

_REMOVE_TRIES = 4
_NOT_FOUND, _CONFLICT, _SERVER_ERROR = 404, 409, 500
_POD_LABEL = "io.kubernetes.pod.uid"
_BUFFER_BYTES = 1 << 20
_LOADED = "Loaded image"
_TAR = {"Content-Type": "application/x-tar"}


class DockerEngine:
    """A Docker engine.

    Args:
        api: A connection to it.
        version: What it tells of itself.
    """

    def __init__(self, api: EngineApi, version: EngineVersion) -> None:
        self._api = api
        self.version = version

    @classmethod
    async def connect(cls, *, timeout_s: float = 120.0) -> "DockerEngine":
        """Connect to the engine that DOCKER_HOST or a context names, or to this machine's.

        Raises:
            BackendError: No engine answers.
        """
        api = EngineApi(await asyncio.to_thread(engine_address), timeout_s=timeout_s)
        try:
            with engine_errors("tell its version"):
                version = EngineVersion.model_validate_json(await api.ask("GET", "/version"))
        except BaseException:
            await api.close()
            raise
        api.use_version(version.api)
        return cls(api, version)

    async def info(self) -> EngineInfo:
        """Return what the engine can do."""
        with engine_errors("describe itself"):
            return EngineInfo.model_validate_json(await self._api.ask("GET", "/info"))

    async def image(self, name: str) -> ImageDescription | None:
        """Describe an image, or return None where there is none of that name."""
        with engine_errors(f"look for image {name}"):
            answer = await self._found(f"/images/{quote(name, safe='/:@')}/json") if name else None
        if answer is None:
            return None
        return ImageDescription.model_validate_json(answer).model_copy(update={"name": name})

    async def pull(self, name: str, *, login: RegistryLogin | None) -> None:
        """Pull an image, with the pool's credentials or those that ``docker login`` keeps.

        Raises:
            ImageError: It cannot be pulled.
        """
        from docker.utils import parse_repository_tag

        repository, tag = parse_repository_tag(name)
        headers = await asyncio.to_thread(pull_headers, name, login)
        params = {"fromImage": repository, "tag": tag or "latest"}
        with image_errors("pull", name):
            await self._api.follow("/images/create", params=params, headers=headers)

    async def load(self, archive: Path) -> tuple[str, ...]:
        """Load the images of an archive that ``docker save`` made, and return their names."""
        with image_errors("load", str(archive)):
            async with _content(archive) as content:
                lines = await self._api.follow("/images/load", params={"quiet": "1"}, content=content, headers=_TAR)
        texts = [str(line.get("stream", "")).strip() for line in lines]
        return tuple(text.partition(": ")[2] for text in texts if text.startswith(_LOADED))

    async def import_(self, archive: Path, name: str) -> None:
        """Make an image of the file tree in an archive.

        Raises:
            ImageError: It cannot be imported.
        """
        from docker.utils import parse_repository_tag

        repository, tag = parse_repository_tag(name)
        params = {"fromSrc": "-", "repo": repository, **({"tag": tag} if tag else {})}
        with image_errors("import", str(archive)):
            async with _content(archive) as content:
                await self._api.follow("/images/create", params=params, content=content, headers=_TAR)

    async def build(self, dockerfile: str, name: str, *, network: bool) -> None:
        """Build an image from the text of a Dockerfile, without any context.

        Args:
            dockerfile: The text.
            name: What to call the image.
            network: Whether its commands may use a network; base images are pulled in any case.

        Raises:
            ImageError: It cannot be built.
        """
        content, headers = await asyncio.to_thread(_build_request, dockerfile)
        digest = hashlib.sha256(dockerfile.encode()).hexdigest()
        params = {"t": name, "rm": "1", "forcerm": "1", "labels": json.dumps({BUILT_LABEL: digest})}
        with image_errors("build", name):
            await self._api.follow(
                "/build",
                params=params if network else {**params, "networkmode": "none"},
                content=content,
                headers=headers,
            )

    async def tag(self, name: str, other: str) -> None:
        """Add a further name to an image."""
        from docker.utils import parse_repository_tag

        repository, tag = parse_repository_tag(other)
        params = {"repo": repository, **({"tag": tag} if tag else {})}
        with engine_errors(f"give image {name} the name {other}"):
            await self._api.ask("POST", f"/images/{quote(name, safe='/:@')}/tag", params=params)

    async def create(self, settings: Mapping[str, object], *, image: str) -> str:
        """Create a container and return its id; one that an earlier try of the same job left is replaced.

        Args:
            settings: What to create it with, in the words of the Docker SDK's ``containers.create``.
            image: Name of its image for people.

        Raises:
            ImageError: Its image is gone.
            BackendError: The engine refuses it.
        """
        name = str(settings["name"])
        body = _container_config(settings, self.version.api)
        params = {"name": name, **({"platform": str(settings["platform"])} if settings.get("platform") else {})}
        labels = cast("Mapping[str, str]", settings.get("labels") or {})
        with engine_errors(f"create container {name}"):
            try:
                answer = await self._api.ask("POST", "/containers/create", params=params, body=body)
            except RefusedError as exc:
                if exc.status == _NOT_FOUND and "image" in exc.explanation.lower():
                    raise ImageError(f"image {image} is gone", hint="pull it again") from exc
                if exc.status != _CONFLICT or not await self._removed_leftover(labels):
                    raise
                answer = await self._api.ask("POST", "/containers/create", params=params, body=body)
        return str(ANSWER.validate_json(answer)["Id"])

    async def connect_networks(self, identifier: str, networks: Iterable[str]) -> None:
        """Let a container join networks besides the one that it was created with."""
        for network in networks:
            with engine_errors(f"connect a container to network {network}"):
                body = {"Container": identifier}
                await self._api.ask("POST", f"/networks/{quote(network, safe='')}/connect", body=body)

    async def _removed_leftover(self, labels: Mapping[str, str]) -> bool:
        found = await self.find({JOB_LABEL: labels.get(JOB_LABEL, "")})
        for identifier in found:
            await self.remove(identifier)
        return bool(found)

    async def attach(self, identifier: str, *, stdin: bool) -> Attachment:
        """Connect to the streams of a container that was not started yet."""
        params = {"stdin": str(int(stdin)), "stdout": "1", "stderr": "1", "stream": "1"}
        with engine_errors(f"attach to container {identifier}"):
            return await self._api.attach(f"/containers/{identifier}/attach", params=params)

    async def start(self, identifier: str) -> None:
        """Start a container.

        Raises:
            CommandRefusedError: Its command cannot be started.
            BackendError: The engine refuses for another reason.
        """
        with engine_errors(f"start container {identifier[:12]}"):
            try:
                await self._api.ask("POST", f"/containers/{identifier}/start")
            except RefusedError as exc:
                refused = refusal(exc.explanation)
                if refused is None:
                    raise
                raise refused from exc

    async def exit_code(self, identifier: str) -> int:
        """Wait for the end of a container.

        Raises:
            ContainerGoneError: It was removed, or the engine does not answer any more.
        """
        with _gone():
            answer = await self._api.ask("POST", f"/containers/{identifier}/wait", patient=True)
        return Ended.model_validate_json(answer).exit_code

    async def described(self, identifier: str) -> Description:
        """Describe a container.

        Raises:
            ContainerGoneError: It was removed, or the engine does not answer any more.
        """
        with _gone():
            return Description.model_validate_json(await self._api.ask("GET", f"/containers/{identifier}/json"))

    async def ran_out_of_memory(self, identifier: str, *, patience_s: float) -> bool:
        """Check whether the engine's events say that a container wanted memory, waiting a moment for one.

        It may tell of want of memory after the end, and then does not note it in the container's state.

        Raises:
            ContainerGoneError: It does not answer any more.
        """
        filters = json.dumps({"container": [identifier], "event": ["oom", "kill"]})
        with _gone(), suppress(TimeoutError):
            async with (
                asyncio.timeout(patience_s),
                self._api.stream("GET", "/events", params={"since": "0", "filters": filters}) as response,
            ):
                async for line in response.aiter_lines():
                    return Event.model_validate_json(line).action == "oom"
        return False

    async def inspect(self, name: str) -> Description | None:
        """Describe a container, or return None where there is none of that name."""
        with engine_errors(f"look for container {name}"):
            answer = await self._found(f"/containers/{name}/json")
        return None if answer is None else Description.model_validate_json(answer)

    async def _found(self, path: str) -> bytes | None:
        try:
            return await self._api.ask("GET", path)
        except RefusedError as exc:
            if exc.status == _NOT_FOUND:
                return None
            raise

    async def log(self, identifier: str) -> AsyncGenerator[bytes, None]:
        """Yield what the engine kept of a container's streams, from the beginning, framed as when it is attached.

        Raises:
            ContainerGoneError: It was removed, or the engine does not answer any more.
        """
        params = {"stdout": "1", "stderr": "1", "follow": "0"}
        with _gone():
            async with self._api.stream("GET", f"/containers/{identifier}/logs", params=params) as response:
                async for chunk in response.aiter_bytes():
                    yield chunk

    async def kill(self, identifier: str) -> None:
        """Kill a container, if it runs."""
        with engine_errors(f"kill container {identifier[:12]}"):
            try:
                await self._api.ask("POST", f"/containers/{identifier}/kill")
            except RefusedError as exc:
                if exc.status >= _SERVER_ERROR:  # otherwise it is gone, or not running
                    raise

    async def remove(self, identifier: str) -> None:
        """Kill and remove a container with its anonymous volumes, if it exists.

        Raises:
            BackendError: The engine cannot remove it.
        """
        with engine_errors(f"remove container {identifier[:12]}"):
            for tried in range(_REMOVE_TRIES):
                try:
                    await self._api.ask("DELETE", f"/containers/{identifier}", params={"v": "1", "force": "1"})
                except RefusedError as exc:
                    if exc.status == _NOT_FOUND:
                        return
                    if tried == _REMOVE_TRIES - 1:
                        raise
                else:
                    return
                # Somebody else is removing it, or a mount is busy for a moment.
                await asyncio.sleep(0.1 * 2**tried)

    async def find(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """Return the ids of all containers, running or not, that have all these labels."""
        found = await self._labelled([f"{name}={value}" for name, value in labels.items()])
        return tuple(container.id for container in found)

    async def values_of(self, label: str) -> frozenset[str]:
        """Return the values that any containers, running or not, have for a label."""
        return frozenset(container.labels[label] for container in await self._labelled([label]))

    async def _labelled(self, labels: list[str]) -> list[Listed]:
        """List containers, without those of pods, which have their pods' labels where Kubernetes runs on the engine."""
        params = {"all": "1", "filters": json.dumps({"label": labels})}
        with engine_errors("list containers"):
            answer = await self._api.ask("GET", "/containers/json", params=params)
        return [one for one in LISTED.validate_json(answer) if _POD_LABEL not in one.labels]

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()


async def engine_answers() -> bool:
    """Check whether a Docker engine answers within 5 s; it does in some milliseconds where one runs."""
    try:
        await (await DockerEngine.connect(timeout_s=5.0)).close()
    except BackendError:
        return False
    return True


@contextmanager
def _gone() -> Iterator[None]:
    """Make it one error that a container, or its engine, is not there any more."""
    try:
        yield
    except RefusedError as exc:
        said = "the container was removed" if exc.status == _NOT_FOUND else f"the Docker engine fails: {exc}"
        raise ContainerGoneError(said) from exc
    except BackendError as exc:
        raise ContainerGoneError(exc.message) from exc


@asynccontextmanager
async def _content(archive: Path) -> AsyncIterator[AsyncIterator[bytes]]:
    """Open an archive to be sent piece by piece."""
    async with await anyio.open_file(archive, "rb") as file:

        async def pieces() -> AsyncIterator[bytes]:
            """Yield what is in it."""
            while piece := await file.read(_BUFFER_BYTES):
                yield piece

        yield pieces()


def _build_request(dockerfile: str) -> tuple[bytes, dict[str, str]]:
    """Return the context and the headers of a build; blocks."""
    from docker.utils import mkbuildcontext

    with mkbuildcontext(io.BytesIO(dockerfile.encode())) as context:
        return context.read(), {**_TAR, **build_headers()}


def _container_config(settings: Mapping[str, object], version: str) -> Mapping[str, object]:
    """Return the body of a request for a container, which takes other words than the Docker SDK.

    Raises:
        BackendError: The SDK does not know a setting, or not such a value of it.
    """
    from docker.errors import DockerException
    from docker.models.containers import _create_container_args  # type: ignore[attr-defined]
    from docker.types import ContainerConfig

    apart = {"name", "platform", "use_config_proxy"}
    given = {name: value for name, value in settings.items() if name not in apart}
    try:
        made = ContainerConfig(version, **_create_container_args({**given, "version": version}))
    except (TypeError, ValueError, DockerException) as exc:
        raise BackendError(
            f"the work pool's container settings are not valid: {exc}", hint="see container_create_kwargs"
        ) from exc
    return {name: value for name, value in made.items() if value is not None}
