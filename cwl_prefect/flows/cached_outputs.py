"""Where the outputs of calls go that were found in the cache."""

import os
import threading
from pathlib import Path

from cwl_prefect.model.cache import CacheEntry, StoredFile

SHARED = ".cached"  # beside the workspaces of a step's calls


class CachedOutputs:
    """Directories for outputs that were found: small files of different names share one for each step.

    To make and remove a directory for each call would cost more than all else that a hit needs. Threads may ask at
    once.
    """

    def __init__(self) -> None:
        self._taken: dict[str, set[str]] = {}  # the directory beside which they lie, to names in the case of none
        self._deciding = threading.Lock()

    def shared_directory(self, entry: CacheEntry, outdir: Path) -> Path | None:
        """Give the directory that a call shares with others of its step, where all its files get their names there.

        Args:
            entry: What the call gave before.
            outdir: The output directory of the call alone.

        Returns:
            The directory, which may have to be made; None where the call needs its own.
        """
        if entry.directories or entry.links or not all(map(_is_plain, entry.files)):
            return None
        names = [file.path.casefold() for file in entry.files]
        with self._deciding:
            taken = self._names_beside(outdir)
            if not taken.isdisjoint(names):
                return None
            taken.update(names)
        return outdir.parent / SHARED

    def _names_beside(self, outdir: Path) -> set[str]:
        parent = os.path.dirname(outdir)  # noqa: PTH120 - many times faster, and called for each hit
        found = self._taken.get(parent)
        if found is None:
            found = self._taken[parent] = _names_in(outdir.parent / SHARED)
        return found


def _names_in(directory: Path) -> set[str]:
    return {entry.name.casefold() for entry in directory.iterdir()} if directory.is_dir() else set()


def _is_plain(file: StoredFile) -> bool:
    return file.content is not None and "/" not in file.path
