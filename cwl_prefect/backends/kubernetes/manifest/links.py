"""Inputs whose names hold a colon, at which Kubernetes mounts nothing: they are mounted elsewhere and linked to."""

import asyncio
import posixpath
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from cwl_prefect.errors import BackendError
from cwl_prefect.model.job import Mount

LINKED_PATH = "/.cwl-prefect-inputs"


class Links:
    """Directories of links on the volume, one set for each Job that needs any.

    Args:
        directory: Where they are.
    """

    def __init__(self, directory: Path) -> None:
        self._root = directory / "links"

    async def placed(self, job_name: str, mounts: Sequence[Mount]) -> Sequence[Mount]:
        """Return mounts that no colon is in, with directories of links for those that had one.

        Raises:
            BackendError: One lies in a directory that is itself mounted, where no link can be.
        """
        directories = {posixpath.dirname(mount.target) for mount in mounts if ":" in mount.target}
        if not directories:
            return mounts
        kept, links = without_colons(mounts, directories)
        root = self._root / job_name
        return [*kept, *await asyncio.to_thread(_written, root, links)]

    async def remove(self, job_name: str) -> None:
        """Remove the links of a Job, if it has any."""
        root = self._root / job_name
        if self._root.exists():
            await asyncio.to_thread(shutil.rmtree, root, ignore_errors=True)


def without_colons(mounts: Sequence[Mount], directories: set[str]) -> tuple[list[Mount], dict[str, Mapping[str, str]]]:
    """Move everything that is mounted in some directories, and tell by directory which name links where.

    Raises:
        BackendError: A directory is itself mounted, or its path has a colon.
    """
    kept = [mount for mount in mounts if posixpath.dirname(mount.target) not in directories]
    moved = [mount for mount in mounts if posixpath.dirname(mount.target) in directories]
    links: dict[str, dict[str, str]] = {directory: {} for directory in directories}
    for number, mount in enumerate(moved):
        directory, name = posixpath.split(mount.target)
        if ":" in directory or any(posixpath.commonpath([directory, other.target]) == other.target for other in kept):
            raise BackendError(
                f"Kubernetes mounts nothing at {mount.target}, because of its colon", hint="give the file another name"
            )
        inside = f"{LINKED_PATH}/{number}"
        links[directory][name] = inside
        kept.append(Mount(source=mount.source, target=inside, writable=mount.writable))
    return kept, dict(links)


def _written(root: Path, links: Mapping[str, Mapping[str, str]]) -> list[Mount]:
    shutil.rmtree(root, ignore_errors=True)
    mounts = []
    for number, (directory, targets) in enumerate(links.items()):
        place = root / str(number)
        place.mkdir(parents=True)
        for name, inside in targets.items():
            (place / name).symlink_to(inside)
        mounts.append(Mount(source=place, target=directory))
    return mounts
