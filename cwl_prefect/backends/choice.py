"""Which backend runs a step."""

from collections.abc import Callable
from functools import cache

from cwl_prefect.model.job import DockerImage
from cwl_prefect.settings import BackendName


def choose(requested: BackendName, image: DockerImage | None, engine_answers: Callable[[], bool]) -> BackendName:
    """Tell where a call runs: in Docker if it asks for an image and may have it, else as a process.

    A call whose image is required, not only hinted, cannot run as a process; that is for the caller to refuse.

    Args:
        requested: What the user set.
        image: What the call asks for; None where it asks for none.
        engine_answers: Tells whether a Docker engine can be used; asked only where that matters.
    """
    match requested:
        case BackendName.LOCAL:
            return BackendName.LOCAL
        case BackendName.DOCKER:
            return BackendName.LOCAL if image is None else BackendName.DOCKER
        case BackendName.AUTO:
            return BackendName.DOCKER if image is not None and engine_answers() else BackendName.LOCAL


@cache
def docker_available(timeout_s: float = 5.0) -> bool:
    """Tell whether a Docker engine answers; asked once per process, in some milliseconds where one runs.

    Args:
        timeout_s: Seconds to wait for an answer.
    """
    from cwl_prefect.backends.docker_engine import DockerEngine
    from cwl_prefect.errors import BackendError

    try:
        DockerEngine.connect(timeout_s=timeout_s, connections=1).close()
    except BackendError:
        return False
    return True
