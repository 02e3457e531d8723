"""A tool whose use of memory and cores is known."""

from pathlib import Path

from cwl_prefect.model.job import ContainerJob, DockerImage, Mount

HOLDS_300_MIB = """
import time
held = bytearray(b'x') * (300 << 20)
while time.process_time() < 2:
    pass
print(time.process_time())
"""
"""Holds memory and one core for two seconds, and prints what it measured of itself."""


def held(directory: Path, number: int = 0) -> ContainerJob:
    """Return a call of it in a container, whose files are in a directory."""
    return ContainerJob(
        job_id=f"usage-{directory.name}-{number}",
        name="hold",
        image=DockerImage(pull="python:3-slim"),
        command=("python3", "-c", HOLDS_300_MIB),
        env={},
        mounts=(Mount(source=directory, target=str(directory), writable=True),),
        workdir=str(directory),
        stdin=None,
        stdout=directory / "out",
        stderr=directory / "err",
    )
