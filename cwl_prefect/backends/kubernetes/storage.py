"""The volume that driver and steps share, and how a path of the driver becomes a mount of a step."""

import asyncio
import itertools
import os
import posixpath
import shutil
import uuid
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cwl_prefect._lib.single_flight import Once
from cwl_prefect.backends.kubernetes.objects import KubernetesObject, part, parts, text
from cwl_prefect.errors import BackendError, UsageError
from cwl_prefect.model.job import ContainerJob, Mount
from cwl_prefect.settings import Settings

VOLUME_NAME = "cwl-prefect-storage"
OWN_DIRECTORY = ".cwl-prefect"
"""Directory of the volume for what is neither a workspace nor a user's."""

VOLUME_PATH = "/volume"
"""Where containers that prepare a pod's own volume see the whole of it."""

_HINT = (
    "name a volume that pods and this process share by "
    "CWL_PREFECT_KUBERNETES_VOLUME (as pvc:NAME, hostPath:/DIRECTORY or "
    "nfs:SERVER:/EXPORT) and where it is here by CWL_PREFECT_KUBERNETES_VOLUME_PATH, or mount it in the pool's template"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """A volume, and where this process sees it.

    Attributes:
        volume: As in a pod's volumes, without a name.
        path: Where this process sees it.
        sub_path: The part of the volume that ``path`` shows.
        ephemeral: Whether each pod has one of its own, to which what it needs is brought from ``path``.
        replaced: The template's own volume for workspaces, which no pod needs then.
    """

    volume: KubernetesObject
    path: Path
    sub_path: str = ""
    ephemeral: bool = False
    replaced: KubernetesObject | None = None

    def is_shared(self, volume: KubernetesObject) -> bool:
        """Check whether a volume of the template, as in a pod's volumes, is the one that holds the workspaces."""
        source = {name: value for name, value in volume.items() if name != "name"}
        own = self.replaced if self.ephemeral else self.volume
        return own is not None and same_volume(source, own)

    def holds(self, place: Path) -> bool:
        """Check whether a path of this process lies on the volume."""
        return place.is_relative_to(self.path)

    def mount(self, place: Path, target: str, *, writable: bool) -> KubernetesObject:
        """Return the mount of a path of this process, for a container."""
        inner = posixpath.normpath(posixpath.join(self.sub_path, place.relative_to(self.path).as_posix()))
        mount: KubernetesObject = {"name": VOLUME_NAME, "mountPath": target, "readOnly": not writable}
        return mount if inner == "." else {**mount, "subPath": inner}


def shown_directly(
    mounts: Sequence[KubernetesObject], storage: Storage, targets: Container[str]
) -> tuple[list[KubernetesObject], list[KubernetesObject]]:
    """Return mounts of the volume without a ``subPath`` at some targets, and the volumes that they are of then.

    For each ``subPath`` a node makes and removes a mount of its own, which with many pods at once is a large part of
    its work. Only a directory of nodes can be spared that. Its path is followed through links, which a ``subPath`` is
    not, so that no target may be of a place that a tool could have written.
    """
    root = text(storage.volume, "hostPath", "path")
    shown: list[KubernetesObject] = []
    volumes: list[KubernetesObject] = []
    for mount in mounts:
        inner = text(mount, "subPath") if text(mount, "name") == VOLUME_NAME else ""
        if not root or not inner or ":" in inner or text(mount, "mountPath") not in targets:  # engines split at colons
            shown.append(mount)
            continue
        name = f"{VOLUME_NAME}-{len(volumes)}"
        volumes.append({"name": name, "hostPath": {"path": posixpath.join(root, inner)}})
        shown.append({"name": name, **{key: value for key, value in mount.items() if key not in ("name", "subPath")}})
    return shown, volumes


def same_volume(one: KubernetesObject, other: KubernetesObject) -> bool:
    """Check whether two volumes are the same: the API server gives a directory of nodes without a type an empty one."""
    return _with_type(one) == _with_type(other)


def _with_type(volume: KubernetesObject) -> KubernetesObject:
    directory = part(volume, "hostPath")
    return {**volume, "hostPath": {**directory, "type": directory.get("type") or ""}} if directory else volume


def parse_volume(stated: str) -> KubernetesObject:
    """Return the volume that a setting names.

    Args:
        stated: ``pvc:NAME``, ``hostPath:/DIRECTORY`` or ``nfs:SERVER:/EXPORT``.

    Raises:
        UsageError: It is none of these.
    """
    kind, _, rest = stated.partition(":")
    if kind == "pvc" and rest:
        return {"persistentVolumeClaim": {"claimName": rest}}
    if kind.lower() == "hostpath" and rest.startswith("/"):
        return {"hostPath": {"path": rest}}
    server, separator, export = rest.rpartition(":")
    if kind == "nfs" and separator and server and export.startswith("/"):
        return {"nfs": {"server": server, "path": export}}
    raise UsageError(f"{stated!r} names no volume", hint="write pvc:NAME, hostPath:/DIRECTORY or nfs:SERVER:/EXPORT")


def stated_storage(volume: str | None, path: Path | None, runs: Path) -> Storage | None:
    """Return the volume that settings name, or None where they name none.

    Raises:
        UsageError: The setting names no volume.
    """
    if volume is None:
        return None
    source = parse_volume(volume)
    own_path = text(source, "hostPath", "path")
    return Storage(volume=source, path=(path or (Path(own_path) if own_path else runs)).resolve())


def mounted_storage(pod_spec: KubernetesObject, runs: Path) -> Storage | None:
    """Return the volume on which a pod's first container has a directory, or None where it is on none.

    Args:
        pod_spec: Of this process's own pod, or of the template that steps share with it.
        runs: Directory of all workspaces.
    """
    containers = parts(pod_spec, "containers")
    mounts = parts(containers[0], "volumeMounts") if containers else []
    volumes = {text(volume, "name"): volume for volume in parts(pod_spec, "volumes")}
    outermost_last = sorted(mounts, key=lambda mount: len(text(mount, "mountPath")), reverse=True)
    for mount in outermost_last:
        path, volume = Path(text(mount, "mountPath")), volumes.get(text(mount, "name"))
        if volume is not None and "emptyDir" not in volume and runs.is_relative_to(path):
            source = {name: value for name, value in volume.items() if name != "name"}
            return Storage(volume=source, path=path, sub_path=text(mount, "subPath"))
    return None


def shared_storage(settings: Settings, runs: Path, pods: Iterable[KubernetesObject]) -> Storage | None:
    """Return the volume that settings name, else the one on which a pod has the workspaces; None where there is none.

    Args:
        settings: May name the volume, and where it is.
        runs: Directory of all workspaces, without links.
        pods: Specs of pods that have the volume where this process has it: its own, and the template's.

    Raises:
        UsageError: The setting names no volume.
    """
    stated = stated_storage(settings.kubernetes_volume, settings.kubernetes_volume_path, runs)
    candidates = (stated, *(mounted_storage(pod, runs) for pod in pods))
    return next((found for found in candidates if found is not None), None)


def pod_storage(runs: Path, template: KubernetesObject) -> Storage:
    """Return a volume that each pod has for itself, with every path of this process that its call needs.

    Args:
        runs: Directory of all workspaces.
        template: Spec of the template's pod.
    """
    replaced = mounted_storage(template, runs)
    return Storage(
        volume={"emptyDir": {}}, path=Path("/"), ephemeral=True, replaced=None if replaced is None else replaced.volume
    )


def demand_storage(storage: Storage | None, runs: Path) -> Storage:
    """Return the volume that was found, on which the workspaces are.

    Raises:
        BackendError: None was found, or it cannot be seen here, or the workspaces lie elsewhere.
    """
    if storage is None:
        raise BackendError(f"no volume shared with pods holds the workspaces in {runs}", hint=_HINT)
    if not storage.path.is_dir():
        raise BackendError(f"the shared volume is not mounted here at {storage.path}", hint=_HINT)
    return holding(storage, runs)


def holding(storage: Storage, runs: Path) -> Storage:
    """Return a volume on which the workspaces are.

    Raises:
        BackendError: They lie elsewhere.
    """
    if not storage.holds(runs):
        raise BackendError(
            f"the workspaces in {runs} do not lie on the shared volume at {storage.path}",
            hint=f"choose a directory below {storage.path} by --workdir",
        )
    return storage


class Imports:
    """Brings what lies elsewhere onto the volume, each file or directory once.

    Args:
        storage: The volume.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._root = storage.path / OWN_DIRECTORY / "inputs" / uuid.uuid4().hex
        self._numbers = itertools.count()
        self._once: Once[Path, Path] = Once(self._copied)

    async def bring(self, mount: Mount) -> Mount:
        """Return a mount whose source lies on the volume.

        Raises:
            BackendError: It is to be changed in place but lies elsewhere, or cannot be copied.
        """
        source = mount.source.absolute()
        if self._storage.holds(source):
            return mount
        if mount.writable:
            raise BackendError(
                f"{source} is to be changed in place, but does not lie on the volume at {self._storage.path}",
                hint="put it onto the volume",
            )
        return Mount(source=await self._once.get(source), target=mount.target)

    async def remove(self) -> None:
        """Remove every copy."""
        await asyncio.to_thread(shutil.rmtree, self._root, ignore_errors=True)

    async def _copied(self, source: Path) -> Path:
        target = self._root / str(next(self._numbers)) / "data"
        try:
            await asyncio.to_thread(_copy, source, target)
        except (OSError, shutil.Error) as exc:
            raise BackendError(
                f"{source} cannot be copied onto the volume at {self._storage.path}: {exc}",
                hint="make room on it, or put the inputs there yourself",
            ) from exc
        return target


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore_dangling_symlinks=True)
    else:
        shutil.copy2(source, target)


def writable_mount_of(place: Path, mounts: Iterable[Mount]) -> Mount | None:
    """Return the innermost mount by which a container may write to a file, or None where no mount shows it."""
    fitting = [mount for mount in mounts if mount.writable and place.is_relative_to(mount.source)]
    return max(fitting, key=lambda mount: len(mount.source.parts), default=None)


def seen_inside(place: Path, mount: Mount) -> str:
    """Return the path at which a container sees a file that a mount shows."""
    return posixpath.normpath(posixpath.join(mount.target, place.relative_to(mount.source).as_posix()))


def make_outputs(job: ContainerJob, storage: Storage) -> None:
    """Make the files that take a call's output, which the call itself empties as it starts.

    Raises:
        OSError: One cannot be made, or is a link, which may lead to a user's file.
        BackendError: One does not lie on the volume.
    """
    for place in {job.stdout, job.stderr}:
        if not storage.holds(place):
            raise BackendError(
                f"the output {place} of {job.name} does not lie on the volume at {storage.path}",
                hint="choose a directory on the volume by --workdir",
            )
        place.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666))
