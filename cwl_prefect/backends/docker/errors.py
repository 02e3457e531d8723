"""What Docker's errors mean: the border where they become ours."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from cwl_prefect.errors import BackendError, ImageError
from cwl_prefect.model.job import Reason

_NOT_FOUND = re.compile(
    r"executable file .*not found|exec:? .*no such file or directory|stat .*no such file or directory", re.DOTALL
)
_NOT_EXECUTABLE = re.compile(r"exec.*(permission denied|is a directory)|exec format error", re.DOTALL)
_RUNTIME_NOISE = re.compile(
    r"^(failed to create (shim )?task(: | for container: )|OCI runtime create failed: |runc create failed: "
    r"|unable to start container process: |container_linux\.go:\d+: starting container process caused: )+"
)

_IMAGE_HINTS = (
    (r"no such host|dial tcp|i/o timeout|connection refused|TLS handshake|proxyconnect|context deadline",
     "check the network and the engine's proxy, or load the image by hand (docker load)"),
    (r"toomanyrequests|rate limit", "wait, or log in to the registry (docker login)"),
    (r"unauthorized|denied|authentication required|no basic auth",
     "check the image's name, or log in to its registry (docker login)"),
    (r"not found|manifest unknown|does not exist|name unknown", "check the image's name and tag"),
    (r"no space left", "free space on the engine's disk (docker system prune)"),
    (r"invalid reference format|invalid tag", "write the image as name, name:tag or name@digest"),
    (r"no matching manifest|does not match the .*platform", "choose an image for this machine's architecture"),
)  # fmt: skip


class RefusedError(Exception):
    """The engine answers a request with an error.

    Attributes:
        status: Status of its answer.
        explanation: Its own words.
    """

    def __init__(self, status: int, explanation: str) -> None:
        super().__init__(explanation)
        self.status = status
        self.explanation = explanation


class CommandRefusedError(Exception):
    """The engine made the container but could not start its command.

    Attributes:
        reason: What is wrong with the command.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ContainerGoneError(Exception):
    """The container was removed, or its engine does not answer any more."""


def plain(explanation: str) -> str:
    """Return an engine's message without the names of the layers that passed it on."""
    return _RUNTIME_NOISE.sub("", explanation.strip()).removesuffix(": unknown")


def refusal(explanation: str) -> CommandRefusedError | None:
    """Return what is wrong with a command that could not be started, or None where the command is not the cause."""
    message = plain(explanation)
    if _NOT_FOUND.search(message):
        return CommandRefusedError(Reason.NOT_FOUND, message)
    if _NOT_EXECUTABLE.search(message):
        return CommandRefusedError(Reason.NOT_EXECUTABLE, message)
    if "OCI runtime" in explanation:
        return CommandRefusedError(Reason.START_FAILED, message)
    return None


def _image_hint(explanation: str) -> str | None:
    return next((hint for words, hint in _IMAGE_HINTS if re.search(words, explanation, re.IGNORECASE)), None)


def _hint(explanation: str) -> str | None:
    if "could not select device driver" in explanation:
        return "install the GPU vendor's container toolkit, or run the step without a GPU"
    if "bind source path does not exist" in explanation:
        return (
            "the engine must run on this machine, and see the workspace at the same path: a flow run's own container "
            "needs a volume as /var/lib/cwl-prefect:/var/lib/cwl-prefect, named by CWL_PREFECT_HOME"
        )
    if "no space left" in explanation:
        return "free space on the engine's disk (docker system prune)"
    return None


def unreachable(exc: BaseException, address: str | None = None) -> BackendError:
    """Return the error for an engine that does not answer."""
    where = f" at {address}" if address else ""
    cause = _root_cause(exc)
    if isinstance(cause, PermissionError):
        hint = "join the group that may use Docker (usually `docker`), or run with --no-container"
    else:
        hint = "start Docker, set DOCKER_HOST to a running engine, or run with --no-container"
    return BackendError(f"no Docker engine answers{where}: {cause}", hint=hint, passing=True)


def _root_cause(exc: BaseException) -> BaseException:
    """Find the operating system's error below the layers of HTTP libraries."""
    seen: BaseException | None = exc
    while seen is not None and not (isinstance(seen, OSError) and seen.errno):
        seen = seen.__cause__ or seen.__context__
    return seen or exc


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Make the engine's refusals inside a block ours.

    Args:
        doing: What the engine is asked for, as ``create the container of align[3]``.

    Raises:
        BackendError: The engine refused.
    """
    try:
        yield
    except RefusedError as exc:
        explanation = plain(exc.explanation)
        raise BackendError(f"the Docker engine cannot {doing}: {explanation}", hint=_hint(explanation)) from exc


@contextmanager
def image_errors(verb: str, name: str) -> Iterator[None]:
    """Make errors ours while the engine is to do something with an image.

    Args:
        verb: What it is to do, such as ``pull``.
        name: The image, as the user knows it.

    Raises:
        ImageError: It could not do it, or a file cannot be read.
    """
    try:
        yield
    except (RefusedError, OSError) as exc:
        explanation = plain(str(exc))
        raise ImageError(f"cannot {verb} image {name}: {explanation}", hint=_image_hint(explanation)) from exc
