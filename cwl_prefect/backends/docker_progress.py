"""How an image comes to a Docker engine: its progress, and its errors made ours."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from cwl_prefect.backends.docker_errors import image_hint, plain, unreachable
from cwl_prefect.errors import ImageError


class _StoppedError(Exception):
    """The run ends while an image is still on its way."""


def followed(progress: Iterable[object], stopped: Callable[[], bool]) -> list[Mapping[str, object]]:
    """Read the progress of an image to its end, which is where errors are told.

    Raises:
        DockerException: The engine tells of one; :func:`image_errors` makes it ours.
    """
    import docker.errors

    lines = []
    for line in progress:
        if stopped():
            raise _StoppedError
        if not isinstance(line, Mapping):
            continue
        if "error" in line:
            raise docker.errors.DockerException(str(line["error"]))
        lines.append(line)
    return lines


@contextmanager
def image_errors(verb: str, name: str) -> Iterator[None]:
    """Make errors of the engine ours while it is to do something with an image.

    Args:
        verb: What it is to do, such as ``pull``.
        name: The image, as the user knows it.

    Raises:
        ImageError: It could not do it, or the run ends.
        BackendError: It does not answer.
    """
    import docker.errors
    import requests.exceptions

    try:
        yield
    except _StoppedError as exc:
        raise ImageError(f"stopped while it was to {verb} image {name}") from exc
    except docker.errors.APIError as exc:
        raise _image_error(verb, name, str(exc.explanation or exc)) from exc
    except (docker.errors.DockerException, OSError) as exc:
        if isinstance(exc, requests.exceptions.RequestException):
            raise unreachable(exc) from exc
        raise _image_error(verb, name, str(exc)) from exc


def _image_error(verb: str, name: str, explanation: str) -> ImageError:
    return ImageError(f"cannot {verb} image {name}: {plain(explanation)}", hint=image_hint(explanation))
