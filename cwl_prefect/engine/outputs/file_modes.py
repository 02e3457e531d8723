"""Files that a tool made give nobody the rights of whoever ran it."""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from cwl_prefect.engine.outputs.placement import path_here
from cwl_prefect.errors import OutputError
from cwl_prefect.model.values import CwlObject, file_objects

_OTHERS_RIGHTS = stat.S_ISUID | stat.S_ISGID


def clear_setuid(outputs: CwlObject, outdir: Path, *, name: str) -> None:
    """Clear the setuid and setgid bits of every file that a tool gives from its output directory.

    Inputs that are passed on are left as they are; so are directories, whose setgid bit only hands on their group.

    Args:
        outputs: What was collected and validated, by output port.
        outdir: The output directory on this machine.
        name: What to call the call in errors.

    Raises:
        OutputError: A file that has one belongs to somebody else.
    """
    walked: list[str] = []
    for found in file_objects(outputs):
        place = path_here(found)
        if place is None or f"{place}/".startswith(tuple(walked)):
            continue
        paths: Iterable[str] = (str(place),)
        if found["class"] == "Directory":
            walked.append(f"{place}/")
            paths = _files(place)
        for path in paths:
            real = os.path.realpath(path) if os.path.islink(path) else path  # noqa: PTH114 - cheaper than Path
            mode = os.lstat(real).st_mode if os.path.lexists(real) else 0
            if not (stat.S_ISREG(mode) and mode & _OTHERS_RIGHTS):
                continue
            if os.path.realpath(real).startswith(f"{os.path.realpath(outdir)}/"):
                _clear(real, mode, name=name)


def _files(place: Path) -> Iterator[str]:
    """Yield all files below a directory."""
    for directory, _, files in os.walk(place):
        yield from (f"{directory}/{entry}" for entry in files)


def _clear(path: str, mode: int, *, name: str) -> None:
    try:
        os.chmod(path, stat.S_IMODE(mode) & ~_OTHERS_RIGHTS)  # noqa: PTH101 - cheaper than Path
    except OSError as exc:
        raise OutputError(
            f"{name}: {path} would run with its owner's rights, and that cannot be changed: {exc.strerror}.",
            step=name,
            hint="Let the tool run as the user of the run, or clear the bit itself (chmod ug-s).",
        ) from exc
