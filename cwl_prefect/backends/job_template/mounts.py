"""Mounts of a step's container, as every platform wants them."""

import posixpath
from collections.abc import Iterable

from cwl_prefect.errors import BackendError
from cwl_prefect.model.job import Mount


def outermost_first(mounts: Iterable[Mount]) -> dict[str, Mount]:
    """Return each path of a container once, outer directories before what lies inside.

    Raises:
        BackendError: Two mounts of different files share a path.
    """
    chosen: dict[str, Mount] = {}
    for mount in mounts:
        target = posixpath.normpath(mount.target)
        other = chosen.get(target)
        if other is not None and other.source != mount.source:
            raise BackendError(f"both {other.source} and {mount.source} are to be mounted at {target}")
        if other is None or mount.writable:
            chosen[target] = mount
    return {target: chosen[target] for target in sorted(chosen, key=lambda path: (path.count("/"), path))}
