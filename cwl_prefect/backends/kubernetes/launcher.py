"""The small static program in every pod that connects a call's streams to files, whatever its image has.

A log API may merge, cut and lose; a file does not. Many images have no shell to redirect with, so a static busybox is
put onto the shared volume once, by an init container of the first pod that finds none, and mounted read-only from then
on.
"""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from cwl_prefect.backends.cgroups import usage_of
from cwl_prefect.backends.kubernetes.objects import KubernetesObject, part
from cwl_prefect.backends.kubernetes.storage import OWN_DIRECTORY, VOLUME_PATH, Storage
from cwl_prefect.model.usage import Usage

MOUNT_PATH = "/.cwl-prefect"
STREAMS_PATH = "/.cwl-prefect-streams"
PROGRAM = "busybox"
PROGRAM_PATH = f"{MOUNT_PATH}/{PROGRAM}"
"""Where a step finds the program."""

ALIVE = "alive"
"""Name of the pipe beside the program that is open for as long as a step's container lives."""

LAUNCHER_NAME = "cwl-prefect-launcher"
"""Name of the init container that brings the program."""

_POLL_S = 0.05
_PATIENCE_S = 60.0

NOT_SHARED = "the pod does not see what the run wrote to the shared volume"
"""What the launcher says where the files are not there that the run made for the output of the call."""

NOT_WRITABLE = "stdout cannot be written by the user that the pod runs as"
"""What it says where the pod runs as a user who may not write to the workspaces of the run."""

KEPT_VARIABLES = "_cwl_kept"
"""Variable that names those of Prefect and cwl-prefect, with spaces around each, that the document gives the tool."""

_LAST_LINE = "end"

_SCRIPT, _INSTALL = (
    Path(__file__).with_name(name).read_text("utf-8").partition("\n\n")[2]  # without what is said about it
    for name in ("launcher.sh", "launcher_install.sh")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """Where a container sees the files that its streams are connected to."""

    stdin: str
    stdout: str
    stderr: str


def launched(command: Sequence[str], streams: Streams) -> list[str]:
    """Return the command line that runs a command with its streams connected to files."""
    return [PROGRAM_PATH, "sh", "-c", _SCRIPT, PROGRAM_PATH, streams.stdin, streams.stdout, streams.stderr, *command]


def used(said: str) -> Usage | None:
    """Return what a command used by what the launcher said at its end; None where it said something else.

    Files of a control group, line by line behind their names. Where the node has cut them short, nothing is known.
    """
    lines = said.splitlines()
    if lines[-1:] != [_LAST_LINE]:
        return None
    files: dict[str, str] = {}
    for line in lines[:-1]:
        name, _, content = line.partition(" ")
        files[name] = f"{files.get(name, '')}{content}\n"
    return usage_of(files)


def restricted(
    container: KubernetesObject, pod_security: KubernetesObject, step_security: KubernetesObject
) -> KubernetesObject:
    """Return the init container with all restrictions that it can bear, as Pod Security's profile `restricted` demands.

    Args:
        container: The init container.
        pod_security: Security context of the pod, which names the user.
        step_security: What the template gives the step's container.
    """
    security: KubernetesObject = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
    root = pod_security.get("runAsUser") == 0  # who may need capabilities to write to another user's directory
    dropped: JsonValue = part(step_security, "capabilities").get("drop") if root else ["ALL"]
    if dropped:
        security["capabilities"] = {"drop": dropped}
    if not root and step_security.get("runAsNonRoot"):
        security["runAsNonRoot"] = True
    return {**container, "securityContext": security}


class Launcher:
    """Sees to it that the program is on the volume.

    Args:
        storage: The volume.
        image: Image with a static busybox.
    """

    def __init__(self, storage: Storage, image: str) -> None:
        self._storage = storage
        self._image = image
        own = storage.path / OWN_DIRECTORY
        digest = hashlib.sha256(image.encode()).hexdigest()[:12]
        self._directory = own if storage.ephemeral else own / "launcher" / digest
        self._present = False
        self._pioneer: str | None = None

    @property
    def mount(self) -> KubernetesObject:
        """The mount that shows the program to a step."""
        return self._storage.mount(self._directory, MOUNT_PATH, writable=False)

    async def init_containers(self, job_name: str) -> list[KubernetesObject]:
        """Return the init container that brings the program, or none where it is there.

        The first to ask gets it; the others wait until that one's pod has brought the program. Where each pod has a
        volume of its own, each gets it.
        """
        if self._storage.ephemeral:
            return [self._installing(job_name)]
        if self._found():
            return []
        if self._pioneer is None:
            self._pioneer = job_name
            await asyncio.to_thread(_make, self._directory)
            return [self._installing(job_name)]
        deadline = time.monotonic() + _PATIENCE_S
        while self._waits() and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_S)
            if self._found():
                return []
        return [] if self._found() else [self._installing(job_name)]

    def ended(self, job_name: str) -> None:
        """Take note that a job ended, whether it brought the program or not."""
        if self._pioneer == job_name:
            self._pioneer = None

    def _waits(self) -> bool:
        return self._pioneer is not None

    def _found(self) -> bool:
        self._present = self._present or (self._directory / PROGRAM).exists()
        return self._present

    def _installing(self, job_name: str) -> KubernetesObject:
        target, mount = MOUNT_PATH, self._storage.mount(self._directory, MOUNT_PATH, writable=True)
        if self._storage.ephemeral:  # of which nodes make a part for root alone
            target, mount = (
                VOLUME_PATH + MOUNT_PATH,
                self._storage.mount(self._storage.path, VOLUME_PATH, writable=True),
            )
        return {
            "name": LAUNCHER_NAME,
            "image": self._image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["/bin/busybox", "sh", "-c", _INSTALL, "install", target, job_name],
            "volumeMounts": [mount],
        }


def _make(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)
