"""Check what a tool left behind before anyone uses it."""

import logging
import os
import stat
from pathlib import Path

from cwl_prefect.engine.outputs.placement import path_here
from cwl_prefect.errors import OutputError
from cwl_prefect.model.job import BoundCall, EntryKind
from cwl_prefect.model.values import MOST_NESTED, TOO_DEEP, CwlObject, file_objects

_logger = logging.getLogger(__name__)
_MOST_LINKS = 5  # that are named


def validate(outputs: CwlObject, call: BoundCall, outdir: Path, *, name: str) -> list[str]:
    """Check that every File and Directory exists and lies inside the output directory or is an input passed on.

    A location that is a path instead of a URI was checked when it was collected: only inputs passed on have one, whose
    links may lead anywhere.

    Args:
        outputs: What was collected, by output port.
        call: The call, whose inputs may be outputs too.
        outdir: The output directory on this machine.
        name: What to call the call in errors.

    Returns:
        The links in output directories of the call that lead out of the Directory that they are part of.

    Raises:
        OutputError: One does not; the text names the port and the path.
    """
    leaving: list[str] = []
    for port, value in outputs.items():
        for found in file_objects(value):
            place = path_here(found)
            if place is None:
                continue
            path = str(place)
            if str(found.get("location")).startswith("file:") and not _lies_plainly_in(path, outdir):
                _check_place(path, _allowed(call, outdir), port=port, name=name)
            if found["class"] == "Directory" and _lies_in(path, outdir):
                leaving += _check_directory(path, _allowed(call, outdir), port=port, name=name)
    return leaving


def _lies_in(path: str, outdir: Path) -> bool:
    """Check whether a path is the output directory or one below it, however it is spelled."""
    ways = ((path, str(outdir)), (os.path.realpath(path), os.path.realpath(outdir)))
    return any(f"{spelled}/".startswith(f"{root}/") for spelled, root in ways)


def _lies_plainly_in(path: str, outdir: Path) -> bool:
    """Check cheaply whether a path is there, below the output directory, with no link on the way: the usual case."""
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


def _check_directory(directory: str, allowed: tuple[str, ...], *, port: str, name: str) -> list[str]:
    """Check what is in a directory; return its links that lead out of it."""
    own = os.path.realpath(directory)
    dangling: list[str] = []
    leaving: list[str] = []
    waiting = [(directory, 1)]
    while waiting:
        place, depth = waiting.pop()
        if depth > MOST_NESTED:
            raise OutputError(
                f"{name}: output {port}: {directory} cannot be delivered: {TOO_DEEP}.",
                step=name,
                hint="Let the tool make fewer directories in each other.",
            )
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, depth + 1))
                elif entry.is_file(follow_symlinks=False):
                    continue
                elif os.path.exists(entry.path):  # noqa: PTH110 - a text
                    _check_place(entry.path, allowed, port=port, name=name)
                    _check_plain(entry, port=port, name=name)
                    if not os.path.realpath(entry.path).startswith(f"{own}/"):
                        leaving.append(entry.path)
                else:
                    dangling.append(f"{os.path.relpath(entry.path, directory)} -> {os.readlink(entry.path)}")  # noqa: PTH115
    if dangling:
        _tell_dangling(sorted(dangling), port=port, name=name)
    return leaving


def _tell_dangling(links: list[str], *, port: str, name: str) -> None:
    more = f" and {len(links) - _MOST_LINKS} more" if len(links) > _MOST_LINKS else ""
    _logger.warning(
        "%s: output %s: %s%s: a link that leads nowhere is left out of the directory; let the tool write the file or "
        "remove the link",
        name,
        port,
        ", ".join(links[:_MOST_LINKS]),
        more,
    )


def _check_plain(entry: "os.DirEntry[str]", *, port: str, name: str) -> None:
    if not (entry.is_file() or entry.is_dir()):
        raise OutputError(
            f"{name}: output {port}: {entry.path} is neither a file nor a directory but a pipe, socket or device.",
            step=name,
            hint="Let the tool write a regular file, or remove it before it ends.",
        )


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
