"""Whether containers can be run at all."""

from functools import cache

from cwl_prefect.backends.docker_engine import DockerEngine
from cwl_prefect.errors import BackendError


@cache
def docker_available(timeout_s: float = 5.0) -> bool:
    """Tell whether a Docker engine answers; asked once per process, in some milliseconds where one runs.

    Args:
        timeout_s: Seconds to wait for an answer.
    """
    try:
        DockerEngine.connect(timeout_s=timeout_s, connections=1).close()
    except BackendError:
        return False
    return True
