"""Whether this machine can run workflows: packages, directories, room."""

import errno
import platform
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from cwl_prefect._lib.own_files import make_private
from cwl_prefect.model.findings import Finding
from cwl_prefect.settings import Settings

PACKAGES, ROOM = "packages", "room on the disk"
LITTLE_MIB, TOO_LITTLE_MIB = 2048, 64

_DISTRIBUTION = "cwl-prefect"
_MIB = 1 << 20


def machine_findings(settings: Settings) -> list[Finding]:
    """Look at this machine; nothing is left behind but the directories that runs need anyway."""
    found = list(package_findings(metadata.requires(_DISTRIBUTION) or ()))
    directories = {"home": settings.home, "work directory": settings.runs}
    for name, directory in directories.items():
        found.append(directory_finding(name, directory.absolute()))
    found += room_findings(settings.runs.absolute())
    return found


def package_findings(requirements: Iterable[str]) -> Iterator[Finding]:
    """Compare installed packages with what this package requires of them; those of extras only where they are there.

    Args:
        requirements: Requirements as in a package's metadata.
    """
    wrong = [text for each in requirements if (text := _unmet(Requirement(each))) is not None]
    if wrong:
        yield Finding.error(PACKAGES, f"{'; '.join(sorted(set(wrong)))}.", fix="pip install --upgrade cwl-prefect")
        return
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in (_DISTRIBUTION, "prefect", "cwltool"))
    yield Finding.ok(PACKAGES, f"Python {platform.python_version()}, {versions}.")


def directory_finding(name: str, directory: Path) -> Finding:
    """Check whether a directory is there or can be made, and can be written."""
    try:
        make_private(directory)
        with tempfile.TemporaryFile(dir=directory):
            return Finding.ok(name, f"{directory} can be written.")
    except OSError as error:
        variable = "CWL_PREFECT_HOME" if name == "home" else "CWL_PREFECT_WORKDIR or --workdir"
        room = error.errno in (errno.ENOSPC, errno.EDQUOT)
        fix = "free space there" if room else "make it writable for you"
        message = f"{directory} cannot be written: {error.strerror or error}."
        return Finding.error(name, message, fix=f"{fix}, or choose another by {variable}.")


def room_findings(directory: Path) -> list[Finding]:
    """Return how much room there is where the files of steps go."""
    existing = next(place for place in (directory, *directory.parents) if place.exists())
    free_mib = shutil.disk_usage(existing).free // _MIB
    message = f"{free_mib / 1024:.1f} GiB free in {directory}."
    fix = "free space there (`cwl-prefect` keeps the files of failed runs), or choose another place by --workdir."
    if free_mib < TOO_LITTLE_MIB:
        return [Finding.error(ROOM, message, fix=fix)]
    return [Finding.warning(ROOM, message, fix=fix) if free_mib < LITTLE_MIB else Finding.ok(ROOM, message)]


def _unmet(requirement: Requirement) -> str | None:
    optional = requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})
    try:
        installed = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return None if optional else f"{requirement.name} is not installed"
    if requirement.specifier.contains(installed, prereleases=True):
        return None
    return f"{requirement.name} is {installed}, but {requirement.specifier} is needed"
