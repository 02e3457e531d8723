"""Where runs of this machine lie: in the directory of the settings, in the home, and in all that were given instead.

A home remembers each directory that ``--workdir`` or CWL_PREFECT_WORKDIR gave a run by a link of its own: one call
makes it, so that processes do not meet. A directory that is not there, as on a volume that is not mounted, is passed
over and stays remembered; one that is there and has no runs any more is forgotten by ``workspace gc``.
"""

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cwl_prefect._lib.own_files import make_private
from cwl_prefect.engine.records import manifest
from cwl_prefect.engine.records.audit import AUDIT_FILE
from cwl_prefect.engine.records.manifest import RunManifest
from cwl_prefect.engine.records.retention import KeptRun, kept_runs
from cwl_prefect.engine.staging.workspace import run_directory
from cwl_prefect.flows.driver_lock import is_driven
from cwl_prefect.settings import Settings

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Workdirs:
    """The directories that may have runs, resolved; new runs go to the first."""

    directories: tuple[Path, ...]

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return those that are there now, and the one for new runs."""
        known = (settings.own_runs.resolve(), *(directory for _, directory in _remembered(settings)))
        present = filter(_is_there, known)
        return cls(tuple(dict.fromkeys((settings.runs.resolve(), *present))))

    def directory_of(self, run_id: str) -> Path:
        """Return where the workspaces of a run are, or would be made; of several places, where it is driven."""
        new = run_directory(self.directories[0], run_id)
        if len(self.directories) == 1:
            return new
        found = [place for each in self.directories if _is_there(place := each / new.name)]
        return next((place for place in found if is_driven(place)), found[0] if found else new)

    def manifests(self) -> Iterator[tuple[Path, RunManifest]]:
        """Yield the directory of every run with its manifest, in no order."""
        every = [pair for directory in self.directories for pair in manifest.read_all(directory)]
        places = Counter(path.name for path, _ in every)
        for path, found in every:
            if places[path.name] == 1 or path == self.directory_of(found.run_id):
                yield path, found

    def kept_runs(self) -> Iterator[KeptRun]:
        """Yield every run whose workspaces are on this machine, in no order."""
        for directory in self.directories:
            yield from kept_runs(directory)


def remember(settings: Settings) -> None:
    """Let later commands with this home find the runs of a directory that is not its own; its first run is there."""
    runs = settings.runs.resolve()
    if runs == settings.own_runs.resolve():
        return
    link = settings.workdirs / hashlib.sha256(os.fsencode(runs)).hexdigest()[:16]
    try:
        make_private(link.parent)
        link.symlink_to(runs)
    except FileExistsError:
        return
    except OSError as error:
        _logger.warning("%s cannot be remembered for `cwl-prefect runs`: %s", runs, error.strerror)


def forget_unused(settings: Settings) -> None:
    """Forget the directories that are there and have no runs any more."""
    for link, directory in list(_remembered(settings)):
        if _is_unused(directory):
            link.unlink(missing_ok=True)
            if not _is_unused(directory):  # a run that began meanwhile may have seen itself remembered
                remember(settings.model_copy(update={"workdir": directory}))


def _is_there(directory: Path) -> bool:
    try:
        return directory.is_dir()
    except OSError:  # it cannot be told, as behind a directory that may not be read
        return False


def _is_unused(directory: Path) -> bool:
    """Check whether a directory was used and is not; one without a trail may be the place of a volume that is away."""
    left = any(kept_runs(directory)) or any((directory / manifest.PLANS).glob("*"))
    return os.access(directory / AUDIT_FILE, os.F_OK) and not left


def _remembered(settings: Settings) -> Iterator[tuple[Path, Path]]:
    try:
        links = list(os.scandir(settings.workdirs))
    except OSError:
        return
    for link in links:
        if link.is_symlink():
            yield Path(link.path), Path(link.path).readlink()
