"""A container of a job that a person runs by hand, by the program ``docker``."""

import os
import shutil
import subprocess
from collections.abc import Sequence

from cwl_prefect.backends.job_template.mounts import outermost_first
from cwl_prefect.errors import BackendError, UnsupportedError
from cwl_prefect.model.job import ContainerJob, Mount

_ASK_S = 20.0


def docker_run(job: ContainerJob, *, digest: str | None, shell: bool, terminal: bool) -> list[str]:
    """Return the command line that runs a job, or opens a shell in its place, with the same files and environment.

    Args:
        job: The job, whose files are staged.
        digest: The image that it ran in, which is used where it is still here.
        shell: Whether a shell is opened instead.
        terminal: Whether there is a terminal for it.

    Raises:
        BackendError: The program ``docker`` is not here.
        UnsupportedError: Its image is not here, and has no name by which it could be had.
    """
    program = shutil.which("docker")
    if program is None:
        raise BackendError(
            f"{job.name} ran in a container, and the program docker is not on the PATH.",
            hint="install Docker's command line; `runs command` shows what ran.",
        )
    words = [program, "run", "--rm", "--interactive", *(["--tty"] if terminal else [])]
    words += ["--workdir", job.workdir, "--user", job.user or f"{os.geteuid()}:{os.getegid()}"]
    words += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    words += [] if job.network else ["--network", "none"]
    for target, mount in outermost_first(job.mounts).items():
        words += ["--mount", _mount(mount, target)]
    for name, value in job.env.items():
        words += ["--env", f"{name}={value}"]
    image = _image(program, job, digest)
    return [*words, "--entrypoint", "/bin/sh", image] if shell else [*words, image, *job.command]


def _mount(mount: Mount, target: str) -> str:
    """Describe a mount as the program reads it: as a line of CSV, so that paths may hold commas."""
    fields = ["type=bind", f"source={mount.source}", f"target={target}", *([] if mount.writable else ["readonly"])]
    return ",".join('"' + field.replace('"', '""') + '"' for field in fields)


def _image(program: str, job: ContainerJob, digest: str | None) -> str:
    if digest is not None and _is_here(program, digest):
        return digest
    image = job.image
    name = None if image is None else image.pull or image.image_id
    if name is None:
        raise UnsupportedError(
            f"the image that {job.name} ran in is not on this machine, and it has no name.",
            hint="run the workflow again, which makes it.",
        )
    return name


def _is_here(program: str, digest: str) -> bool:
    asking: Sequence[str] = [program, "image", "inspect", "--format", "{{.Id}}", "--", digest]
    try:
        return subprocess.run(asking, capture_output=True, check=False, timeout=_ASK_S).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
