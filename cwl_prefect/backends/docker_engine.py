"""The few things that a Docker engine must do for us, with its errors made ours; every call blocks."""

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import sleep
from typing import IO, TYPE_CHECKING, TypedDict, cast

from cwl_prefect.backends.attach import Attachment
from cwl_prefect.backends.docker_end import ContainerEnd, container_end
from cwl_prefect.backends.docker_errors import (
    ContainerGoneError,
    engine_errors,
    refusal,
    unreachable,
)
from cwl_prefect.backends.docker_progress import followed, image_errors
from cwl_prefect.backends.naming import JOB_LABEL, LABEL_PREFIX
from cwl_prefect.errors import BackendError, ImageError

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container
    from docker.types import CancellableStream

_REMOVE_TRIES = 4
_CONFLICT = 409
_POD_LABEL = "io.kubernetes.pod.uid"
_LOCAL_ENGINE = "unix:///var/run/docker.sock"


class _Listed(TypedDict):
    Id: str
    Labels: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryLogin:
    """Credentials of a registry, as the work pool's template gives them."""

    username: str
    password: str = field(repr=False)
    registry_url: str

    def auth_for(self, image: str) -> dict[str, str] | None:
        """Give the credentials for pulling an image, or None where it comes from another registry."""
        from docker.auth import resolve_index_name, resolve_repository_name

        address = self.registry_url.partition("://")[2] or self.registry_url
        registry, _ = resolve_repository_name(image)
        if resolve_index_name(address.partition("/")[0]) != registry:
            return None
        return {"username": self.username, "password": self.password}


class DockerEngine:
    """A Docker engine behind the Docker SDK.

    Args:
        client: A connected client.
    """

    def __init__(self, client: "DockerClient") -> None:
        self._client = client

    @classmethod
    def connect(cls, *, timeout_s: float = 120.0, connections: int = 64) -> "DockerEngine":
        """Connect to the engine that DOCKER_HOST names, or to this machine's.

        Raises:
            BackendError: The SDK is not installed, or no engine answers.
        """
        try:
            import docker
            from docker.utils import kwargs_from_env
        except ImportError as exc:
            raise BackendError(
                "the Docker SDK is not installed", hint="pip install 'cwl-prefect[docker]', or use --no-container"
            ) from exc
        address = _LOCAL_ENGINE
        try:
            address = kwargs_from_env().get("base_url", address)
            return cls(docker.from_env(timeout=int(timeout_s), max_pool_size=connections))
        except docker.errors.DockerException as exc:
            raise unreachable(exc, address) from exc

    def is_rootless(self) -> bool:
        """Tell whether the engine runs as the user, so that root inside is the user outside."""
        with engine_errors("describe itself"):
            options = self._client.info().get("SecurityOptions") or ()
        return any("rootless" in str(option) for option in options)

    def log_drivers(self) -> frozenset[str]:
        """Give the names of what can keep a container's output."""
        with engine_errors("describe itself"):
            plugins = self._client.info().get("Plugins") or {}
        return frozenset(map(str, plugins.get("Log") or ()))

    def has_image(self, name: str) -> bool:
        """Tell whether an image is here."""
        import docker.errors

        with engine_errors(f"look for image {name}"):
            try:
                self._client.images.get(name)
            except (docker.errors.ImageNotFound, docker.errors.NullResource):
                return False
        return True

    def image_digest(self, name: str) -> str:
        """Give the digest of an image that is here: of its layers and configuration, whatever its tags."""
        with engine_errors(f"look for image {name}"):
            return str(self._client.images.get(name).id)

    def image_digests(self, name: str) -> frozenset[str]:
        """Give all digests that name an image that is here: its own, and those that registries know it by."""
        with engine_errors(f"look at image {name}"):
            image = self._client.images.get(name)
        known = (str(reference).rpartition("@")[2] for reference in image.attrs.get("RepoDigests") or ())
        return frozenset(filter(None, (image.id, *known)))

    def entry_point(self, name: str) -> tuple[str, ...]:
        """Give the words that an image here puts before every command."""
        with engine_errors(f"look at image {name}"):
            config = self._client.images.get(name).attrs.get("Config") or {}
        return tuple(config.get("Entrypoint") or ())

    def pull(self, name: str, *, login: RegistryLogin | None, stopped: Callable[[], bool]) -> None:
        """Pull an image.

        Raises:
            ImageError: It cannot be pulled, or the run was stopped meanwhile.
        """
        with image_errors("pull", name):
            auth = login.auth_for(name) if login is not None else None
            followed(self._client.api.pull(name, stream=True, decode=True, auth_config=auth), stopped)

    def load(self, archive: Path, *, stopped: Callable[[], bool]) -> tuple[str, ...]:
        """Load the images of an archive that ``docker save`` made, and give their names."""
        prefix = "Loaded image"
        with image_errors("load", str(archive)), archive.open("rb") as file:
            load = cast("Callable[[IO[bytes]], Iterable[object]]", self._client.api.load_image)
            lines = followed(load(file), stopped)
        texts = [str(line.get("stream", "")).strip() for line in lines]
        return tuple(text.partition(": ")[2] for text in texts if text.startswith(prefix))

    def import_(self, source: str, name: str) -> None:
        """Make an image of a file tree, from a path or URL of an archive.

        Raises:
            ImageError: It cannot be imported.
        """
        from docker.utils import parse_repository_tag

        repository, tag = parse_repository_tag(name)
        with image_errors("import", source):
            answer = self._client.api.import_image(src=source, repository=repository, tag=tag)
            lines = [json.loads(line) for line in str(answer).splitlines() if line.strip()]
            followed(lines, lambda: False)

    def build(self, dockerfile: str, name: str, *, stopped: Callable[[], bool]) -> None:
        """Build an image from the text of a Dockerfile, without any context.

        Raises:
            ImageError: It cannot be built.
        """
        digest = hashlib.sha256(dockerfile.encode()).hexdigest()
        with image_errors("build", name):
            lines = self._client.api.build(
                fileobj=io.BytesIO(dockerfile.encode()),
                tag=name,
                rm=True,
                forcerm=True,
                decode=True,
                labels={f"{LABEL_PREFIX}dockerfile": digest},
            )
            followed(lines, stopped)

    def create(self, settings: Mapping[str, object], *, image: str) -> str:
        """Create a container and give its id; one that an earlier try of the same job left is replaced.

        Args:
            settings: What to create it with.
            image: Name of its image for people.

        Raises:
            ImageError: Its image is gone.
            BackendError: The engine refuses it.
        """
        import docker.errors

        name = str(settings["name"])
        with engine_errors(f"create container {name}"):
            try:
                container = self._create(settings)
            except docker.errors.ImageNotFound as exc:
                raise ImageError(f"image {image} is gone", hint="pull it again") from exc
            except docker.errors.APIError as exc:
                if exc.status_code != _CONFLICT or not self._removed_leftover(settings):
                    raise
                container = self._create(settings)
        return str(container.id)

    def connect_networks(self, identifier: str, networks: Iterable[str]) -> None:
        """Let a container join networks besides the one that it was created with."""
        for network in networks:
            with engine_errors(f"connect a container to network {network}"):
                self._client.networks.get(network).connect(identifier)

    def _create(self, settings: Mapping[str, object]) -> "Container":
        create = cast("Callable[..., Container]", self._client.containers.create)
        try:
            return create(**settings)
        except TypeError as exc:  # the SDK's word for a setting that it does not know
            raise BackendError(
                f"the work pool's container settings are not valid: {exc}", hint="see container_create_kwargs"
            ) from exc

    def _removed_leftover(self, settings: Mapping[str, object]) -> bool:
        labels = cast("Mapping[str, str]", settings.get("labels") or {})
        found = self.find({JOB_LABEL: labels.get(JOB_LABEL, "")})
        for identifier in found:
            self.remove(identifier)
        return bool(found)

    def attach(self, identifier: str, *, stdin: bool) -> Attachment:
        """Connect to the streams of a container that was not started yet."""
        params = {"stdin": int(stdin), "stdout": 1, "stderr": 1, "stream": 1}
        with engine_errors(f"attach to container {identifier}"):
            return Attachment(self._client.api.attach_socket(identifier, params))

    def start(self, identifier: str) -> None:
        """Start a container.

        Raises:
            CommandRefusedError: Its command cannot be started.
            BackendError: The engine refuses for another reason.
        """
        import docker.errors

        with engine_errors(f"start container {identifier[:12]}"):
            try:
                self._client.api.start(identifier)
            except docker.errors.APIError as exc:
                refused = refusal(str(exc.explanation or exc))
                if refused is None:
                    raise
                raise refused from exc

    def end_of(self, identifier: str) -> ContainerEnd:
        """Wait for the end of a container.

        Raises:
            ContainerGoneError: It was removed, or the engine does not answer any more.
        """
        import docker.errors
        import requests.exceptions

        try:
            status = int(self._client.api.wait(identifier, timeout=None)["StatusCode"])
            return container_end(status, partial(self._client.api.inspect_container, identifier))
        except docker.errors.NotFound as exc:
            raise ContainerGoneError("the container was removed") from exc
        except (docker.errors.DockerException, requests.exceptions.RequestException) as exc:
            raise ContainerGoneError(unreachable(exc).message) from exc

    def inspect(self, name: str) -> Mapping[str, object] | None:
        """Describe a container in the engine's words, or give None where there is none of that name."""
        import docker.errors

        with engine_errors(f"look for container {name}"):
            try:
                return cast("Mapping[str, object]", self._client.api.inspect_container(name))
            except docker.errors.NotFound:
                return None

    def log(self, identifier: str, *, stdout: bool, stderr: bool) -> Iterator[bytes]:
        """Yield what the engine kept of a container's streams, from the beginning, in the pieces that it was kept in.

        Args:
            identifier: The container.
            stdout: Whether its standard output is read.
            stderr: Whether its standard error is read.

        Raises:
            ContainerGoneError: It was removed, or the engine does not answer any more.
        """
        import docker.errors
        import requests.exceptions

        logs = cast("Callable[..., CancellableStream[bytes]]", self._client.api.logs)
        try:
            stream = logs(identifier, stdout=stdout, stderr=stderr, stream=True, follow=False)
            try:
                yield from stream
            finally:
                stream.close()
        except docker.errors.NotFound as exc:
            raise ContainerGoneError("the container was removed") from exc
        except (docker.errors.DockerException, requests.exceptions.RequestException) as exc:
            raise ContainerGoneError(unreachable(exc).message) from exc

    def kill(self, identifier: str) -> None:
        """Kill a container, if it runs."""
        import docker.errors

        with engine_errors(f"kill container {identifier[:12]}"):
            try:
                self._client.api.kill(identifier)
            except docker.errors.APIError as exc:
                if not exc.is_client_error():  # gone, or not running
                    raise

    def remove(self, identifier: str) -> None:
        """Kill and remove a container with its anonymous volumes, if it exists.

        Raises:
            BackendError: The engine cannot remove it.
        """
        import docker.errors

        for tried in range(_REMOVE_TRIES):
            with engine_errors(f"remove container {identifier[:12]}"):
                try:
                    self._client.api.remove_container(identifier, v=True, force=True)
                except docker.errors.NotFound:
                    return
                except docker.errors.APIError:
                    # Somebody else is removing it, or a mount is busy for a moment.
                    if tried == _REMOVE_TRIES - 1:
                        raise
                else:
                    return
            sleep(0.1 * 2**tried)

    def find(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """Give the ids of all containers, running or not, that have all these labels."""
        found = self._labelled([f"{name}={value}" for name, value in labels.items()])
        return tuple(str(container["Id"]) for container in found)

    def values_of(self, label: str) -> frozenset[str]:
        """Give the values that any containers, running or not, have for a label."""
        return frozenset(container["Labels"][label] for container in self._labelled([label]))

    def _labelled(self, labels: list[str]) -> "list[_Listed]":
        """List containers, without those of pods, which have their pods' labels where Kubernetes runs on the engine."""
        with engine_errors("list containers"):
            found = cast("list[_Listed]", self._client.api.containers(all=True, filters={"label": labels}))
        return [container for container in found if _POD_LABEL not in container["Labels"]]

    def close(self) -> None:
        """Give back the connections."""
        with suppress(OSError):
            self._client.close()
