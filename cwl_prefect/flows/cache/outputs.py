"""Where the outputs of calls go that were found in the cache."""

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from cwl_prefect.engine.cache.entry import gives_directory
from cwl_prefect.model.cache import CacheEntry, StoredFile

SHARED = ".cached"  # beside the workspaces of a step's calls


class CachedOutputs:
    """Directories for outputs that were found: small files of different names share one for each step.

    To make and remove a directory for each call would cost more than all else that a hit needs. Threads may ask at
    once.
    """

    def __init__(self) -> None:
        self._shared: dict[str, _Shared] = {}  # by the directory in which they lie
        self._deciding = threading.Lock()

    def shared_directory(self, entry: CacheEntry, outdir: Path) -> Path | None:
        """Return the directory that a call shares with others of its step, where all its files get their names there.

        Args:
            entry: What the call gave before.
            outdir: The output directory of the call alone.

        Returns:
            The directory, which may have to be made; None where the call needs its own.
        """
        flat = not entry.directories and not entry.links and all(map(_is_plain, entry.files))
        if not flat or gives_directory(entry):
            return None
        names = [file.path.casefold() for file in entry.files]
        with self._deciding:
            shared = self._beside(outdir)
            if not shared.taken.isdisjoint(names):
                return None
            shared.taken.update(names)
        return shared.path

    def _beside(self, outdir: Path) -> "_Shared":
        parent = os.path.dirname(outdir)  # noqa: PTH120 - many times faster, and called for each hit
        found = self._shared.get(parent)
        if found is None:
            path = outdir.parent / SHARED
            taken = {entry.name.casefold() for entry in path.iterdir()} if path.is_dir() else set()
            found = self._shared[parent] = _Shared(path=path, taken=taken)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """A directory for what several calls gave, and the names in it, in the case of none."""

    path: Path
    taken: set[str]


def _is_plain(file: StoredFile) -> bool:
    return file.content is not None and "/" not in file.path
