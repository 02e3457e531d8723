"""Check what a tool left behind before anyone uses it."""

import os
import stat
from pathlib import Path

from cwl_prefect.engine.placement import path_here
from cwl_prefect.errors import OutputError
from cwl_prefect.model.job import BoundCall, EntryKind
from cwl_prefect.model.values import CwlObject, file_objects


def validate(outputs: CwlObject, call: BoundCall, outdir: Path, *, name: str) -> None:
    """Check that every File and Directory exists and lies inside the output directory or is an input passed on.

    A location that is a path instead of a URI was checked when it was collected: only inputs passed on have one, whose
    links may lead anywhere.

    Args:
        outputs: What was collected, by output port.
        call: The call, whose inputs may be outputs too.
        outdir: The output directory on this machine.
        name: What to call the call in errors.

    Raises:
        OutputError: One does not; the text names the port and the path.
    """
    for port, value in outputs.items():
        for found in file_objects(value):
            place = path_here(found)
            if place is None:
                continue
            path = str(place)
            if str(found.get("location")).startswith("file:") and not _lies_plainly_in(path, outdir):
                _check_place(path, _allowed(call, outdir), port=port, name=name)
            if found["class"] == "Directory" and _lies_in(path, outdir):
                _check_links(path, _allowed(call, outdir), port=port, name=name)


def _lies_in(path: str, outdir: Path) -> bool:
    """Tell whether a path is the output directory or one below it, however it is spelled."""
    ways = ((path, str(outdir)), (os.path.realpath(path), os.path.realpath(outdir)))
    return any(f"{spelled}/".startswith(f"{root}/") for spelled, root in ways)


def _lies_plainly_in(path: str, outdir: Path) -> bool:
    """Tell cheaply whether a path is there, below the output directory, with no link on the way: the usual case."""
    root = str(outdir)
    below = path.removeprefix(f"{root}/")
    if below == path or ".." in below:
        return False
    for part in below.split("/"):
        root = f"{root}/{part}"
        try:
            found = os.lstat(root)
        except OSError:
            return False
        if stat.S_ISLNK(found.st_mode):
            return False
    return True


def _allowed(call: BoundCall, outdir: Path) -> tuple[str, ...]:
    sources = (os.path.realpath(entry.source) for entry in call.entries if _is_file(entry.kind))
    return (os.path.realpath(outdir), *sources)


def _check_links(directory: str, allowed: tuple[str, ...], *, port: str, name: str) -> None:
    """Check every link of a directory that leads anywhere: it will be followed when the directory is published."""
    for place, directories, files in os.walk(directory):
        for entry in (*directories, *files):
            path = f"{place}/{entry}"
            if os.path.islink(path) and os.path.exists(path):  # noqa: PTH114, PTH110 - cheaper than Path
                _check_place(path, allowed, port=port, name=name)


def _check_place(path: str, allowed: tuple[str, ...], *, port: str, name: str) -> None:
    if not os.path.lexists(path):
        raise OutputError(f"{name}: output {port}: {path} does not exist.", step=name)
    real = os.path.realpath(path)
    if not Path(real).exists():
        raise OutputError(
            f"{name}: output {port}: {path} is a link to {real}, which does not exist.",
            step=name,
            hint="Let the tool copy the file instead of linking to it.",
        )
    if not any(real == root or real.startswith(f"{root}/") for root in allowed):
        raise OutputError(
            f"{name}: output {port}: {path} leads to {real}, outside the output directory.",
            step=name,
            hint="A tool may only give files of its own output directory or its inputs.",
        )


def _is_file(kind: EntryKind) -> bool:
    return kind not in (EntryKind.LITERAL, EntryKind.WRITABLE_LITERAL, EntryKind.EMPTY_DIRECTORY)
