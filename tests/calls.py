"""Calls and jobs as binding and staging give them, of which a test says only what it is about."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from cwl_prefect.model.job import BoundCall, ContainerJob, DockerImage, Mount, Resources

_CALL = BoundCall(
    command=("tool",),
    env={},
    entries=(),
    outdir="/var/spool/cwl",
    tmpdir="/tmp",
    stdin=None,
    stdout=None,
    stderr=None,
    image=DockerImage(pull="busybox"),
    resources=Resources(),
)


def call(**said: Any) -> BoundCall:
    """Give a call of a tool in a container, without inputs."""
    return replace(_CALL, **said)


def job(place: Path, **said: Any) -> ContainerJob:
    """Give a job of a container whose streams go to files in a directory below a place, with nothing mounted."""
    plain = {
        "job_id": "id",
        "name": "tool",
        "image": DockerImage(pull="busybox:1.35"),
        "command": ("tool",),
        "env": {},
        "mounts": (),
        "workdir": "/",
        "stdin": None,
        "stdout": place / "logs" / "stdout",
        "stderr": place / "logs" / "stderr",
    }
    return ContainerJob(**(plain | said))


def own_directories(place: Path) -> dict[str, Any]:
    """Make the directories that a call writes to below a place; give what a job says of them."""
    for name in ("out", "tmp"):
        (place / name).mkdir(parents=True)
    mounts = tuple(Mount(source=place / name, target=f"/{name}", writable=True) for name in ("out", "tmp"))
    return {"mounts": mounts, "workdir": "/out"}
