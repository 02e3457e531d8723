"""Whether the Docker engine of this machine can run steps, found out without running any."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cwl_prefect.backends.docker.address import SOCKET
from cwl_prefect.backends.docker.descriptions import EngineVersion, MountPoint
from cwl_prefect.backends.docker.engine import DockerEngine
from cwl_prefect.errors import BackendError
from cwl_prefect.model.findings import Finding

ENGINE, WORKDIR = "Docker engine", "Docker work directory"
OLDEST_API = (1, 41)
"""API of Docker 20.10, the oldest that is tested."""

_TIMEOUT_S = 10
_OF_CONTAINER = re.compile(r"/containers/([0-9a-f]{64})/")
_OWN_FILES = frozenset({"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"})
_MOUNTS = Path("/proc/self/mountinfo")


async def docker_findings(workdir: Path, *, needed: bool, mounts: Path = _MOUNTS) -> list[Finding]:
    """Look at the engine that DOCKER_HOST or a context names, or at this machine's.

    Args:
        workdir: Directory of workspaces.
        needed: Whether runs cannot do without an engine.
        mounts: The kernel's table of this process's mounts.
    """
    try:
        engine = await DockerEngine.connect(timeout_s=_TIMEOUT_S)
    except BackendError as error:
        told = Finding.error if needed else Finding.warning
        without = "" if needed else " Tools run as processes; those that require an image cannot."
        return [told(ENGINE, f"{error.message}.{without}", fix=error.hint or "start Docker, and check `docker info`.")]
    try:
        return [_version(engine.version), *await _place(engine, workdir.absolute(), mounts)]
    except BackendError as error:
        return [Finding.error(ENGINE, f"{error.message}.", fix=error.hint or "check `docker info`.")]
    finally:
        await engine.close()


def no_engine(wanted: str, *, mounts: Path = _MOUNTS, engine_socket: Path = SOCKET) -> BackendError:
    """Return the error for what needs an engine where none answers: a flow run's own container may lack its socket.

    Args:
        wanted: What needs it, as ``align: the tool needs the image bwa``.
        mounts: The kernel's table of this process's mounts.
        engine_socket: Where an engine of this machine listens.
    """
    if engine_socket.exists() or not mounts.exists() or own_container(mounts.read_text("utf-8", "replace")) is None:
        return BackendError(
            f"{wanted}, but no Docker engine answers.",
            hint="Start Docker and check `docker info`; a tool with a mere hint runs with --backend local.",
        )
    return BackendError(
        f"{wanted}, but the flow run is in a container that has no {engine_socket}, so that no Docker engine answers.",
        hint=f"Add {engine_socket}:{engine_socket} and a directory with the same path on both sides, as "
        "/var/lib/cwl-prefect:/var/lib/cwl-prefect, to the work pool's variable volumes, and name that directory by "
        "CWL_PREFECT_HOME in its env. `cwl-prefect pool create NAME --type docker` makes a pool that has all this.",
    )


def own_container(mounts: str) -> str | None:
    """Return the identifier of the container that this process runs in; Docker mounts files of its own into each.

    Args:
        mounts: Text of ``/proc/self/mountinfo``.
    """
    for line in mounts.splitlines():
        _, _, _, root, target, *_ = (*line.split(" "), "", "", "", "", "")
        found = _OF_CONTAINER.search(root)
        if found is not None and target in _OWN_FILES:  # a host has mounts of all its containers, but elsewhere
            return found[1]
    return None


def seen_by_engine(workdir: Path, mounts: Sequence[MountPoint]) -> Path | None:
    """Return the path by which an engine knows a directory of one of its containers; None: it is in no mount.

    Args:
        workdir: The directory inside the container.
        mounts: Mounts of the container, as the engine describes them.
    """
    places = {mount.destination: mount.source for mount in mounts}
    for target in sorted(places, key=len, reverse=True):
        if PurePosixPath(workdir).is_relative_to(target):
            return Path(places[target]) / PurePosixPath(workdir).relative_to(target)
    return None


def _version(version: EngineVersion) -> Finding:
    told = f"version {version.version}, API {version.api}"
    numbers = tuple(int(part) for part in re.findall(r"\d+", version.api)[:2])
    if numbers and numbers < OLDEST_API:
        oldest = ".".join(map(str, OLDEST_API))
        return Finding.warning(ENGINE, f"{told}: older than API {oldest}.", fix="update it to Docker 20.10 or newer.")
    return Finding.ok(ENGINE, f"it answers: {told}.")


async def _place(engine: DockerEngine, workdir: Path, mounts: Path) -> list[Finding]:
    """Check that the engine sees workspaces at the same path, where this process is itself in one of its containers."""
    identifier = own_container(mounts.read_text("utf-8", "replace")) if mounts.exists() else None
    container = None if identifier is None else await engine.inspect(identifier)
    if container is None:
        return []  # no container, or one of another engine, which has an engine of its own inside
    seen = seen_by_engine(workdir, container.mounts)
    if seen == workdir:
        return [Finding.ok(WORKDIR, f"{workdir} is the same for this container and the engine.")]
    where = "is only inside this container" if seen is None else f"is {seen} for the engine"
    return [
        Finding.error(
            WORKDIR,
            f"{workdir} {where}: containers of steps would not see their files.",
            fix=f"mount a directory at the same path on both sides, as -v {workdir}:{workdir}; or choose another by "
            "CWL_PREFECT_WORKDIR.",
        )
    ]
