"""How a container of a Docker engine ended."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import sleep
from typing import cast

from cwl_prefect.backends.docker_errors import plain

KILLED = 137
LOOKS_S = (
    0.05,
    0.2,
    0.5,
)  # after which the engine is asked again; it notes want of memory by itself, some time after the end


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerEnd:
    """How a container ended, in the engine's words."""

    exit_code: int
    out_of_memory: bool = False
    error: str = ""


def container_end(exit_code: int, inspect: Callable[[], Mapping[str, object]]) -> ContainerEnd:
    """Tell how a container ended; one with a memory limit that was killed is looked at more than once.

    Args:
        exit_code: What the engine gave when it had ended.
        inspect: Gives the engine's description of it.
    """
    if exit_code == 0:
        return ContainerEnd(exit_code=0)
    found = inspect()
    for pause_s in LOOKS_S if exit_code == KILLED and _has_memory_limit(found) else ():
        if _state(found).get("OOMKilled"):
            break
        sleep(pause_s)
        found = inspect()
    state = _state(found)
    return ContainerEnd(
        exit_code=exit_code,
        out_of_memory=bool(state.get("OOMKilled")),
        error=plain(str(state.get("Error") or "")),
    )


def _has_memory_limit(found: Mapping[str, object]) -> bool:
    return bool(cast("Mapping[str, object]", found.get("HostConfig") or {}).get("Memory"))


def _state(found: Mapping[str, object]) -> Mapping[str, object]:
    return cast("Mapping[str, object]", found["State"])
