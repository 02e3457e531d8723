"""The results of a run, delivered whole or not at all."""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import assert_never

from pydantic import JsonValue

from cwl_prefect.engine.copying import copy
from cwl_prefect.engine.placement import Copied, Made, Placement, Written, local_path
from cwl_prefect.errors import PublishError
from cwl_prefect.model.values import CwlObject, as_object, file_objects

MANIFEST = "cwl-prefect-outputs.json"
"""Name of the file with the output object; it is written last, so that whoever sees it finds every output."""

_STAGING_PREFIX = ".cwl-prefect-publish-"
_ABANDONED_AFTER_S = 60.0

_HINTS = {
    errno.ENOSPC: "free space on that file system, or choose another directory by --outdir",
    errno.EDQUOT: "your disk quota is used up: free space, or choose another directory by --outdir",
    errno.EROFS: "that file system is read-only: choose another directory by --outdir",
    errno.EACCES: "check the permissions of that path, or choose another directory by --outdir",
    errno.EPERM: "check the permissions of that path, or choose another directory by --outdir",
    errno.ENOTDIR: "a part of that path is a file: choose another directory by --outdir",
    errno.EEXIST: "there is a file of that name: choose another directory by --outdir",
    errno.ENAMETOOLONG: "let the tool give its outputs shorter names, or choose a shorter --outdir",
    errno.ENOENT: "an output was removed since its step ended: run again",
    errno.EINVAL: "let the tool write regular files instead of pipes, sockets or devices",
}


def publish(outputs: CwlObject, destination: Path, *, move_from: tuple[Path, ...], run_id: str = "") -> CwlObject:
    """Deliver every File and Directory of an output object to a directory.

    All is staged aside first, in a dot directory of the destination, then renamed into place; :data:`MANIFEST` comes
    last. Nobody ever sees half a file, and after a failure the destination is as it was. Files of the same name are
    replaced; a directory only where an earlier manifest shows that it came from here, else the new one gets ``_2``, as
    everything does whose name is taken.

    Args:
        outputs: Output object of a run; files may have a local path or URI, be literals, or lie elsewhere (``http:``),
            where they stay.
        destination: Directory for the outputs; made where it does not exist.
        move_from: Directories whose files need not stay where they are; all others are copied. Links are
            followed.
        run_id: The run that they are from. What an earlier driver of it left there that was killed is removed, and
            the directories that it had delivered are replaced.

    Returns:
        The output object with location, path, basename, size and checksum of every file, and every directory's listing.

    Raises:
        PublishError: The outputs cannot be read, or the destination cannot be written.
    """
    try:
        with contextlib.ExitStack() as undo:
            place = _made_directory(destination, undo)
            replaceable = _published_before(place) | _published_unfinished(place, run_id)
            remove_abandoned(place, run_id)
            placement = Placement(destination=place, reserved=(MANIFEST,), replaceable=replaceable)
            placed = as_object(placement.place(outputs))
            with _staging_directory(place, run_id) as staging:
                _deliver(placement, placed, tuple(root.resolve() for root in move_from), staging)
                undo.pop_all()
    except OSError as error:
        msg = f"the outputs cannot be written to {destination}: {error}"
        raise PublishError(msg, hint=_HINTS.get(error.errno or 0)) from error
    return placed


def _made_directory(destination: Path, undo: contextlib.ExitStack) -> Path:
    place = destination.resolve()
    missing = [directory for directory in (place, *place.parents) if not directory.exists()]
    for directory in reversed(missing):
        directory.mkdir(exist_ok=True)
        undo.callback(_quietly, directory.rmdir)
    if not place.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(place))
    return place


def remove_abandoned(destination: Path, run_id: str = "") -> None:
    """Remove what publications left that were killed; what they had set aside, and nothing replaced, is put back.

    Args:
        destination: Where results were being delivered.
        run_id: A run that nobody but the caller drives; what others left is only removed a while later.
    """
    with contextlib.suppress(OSError):
        left = [entry for entry in os.scandir(destination) if entry.name.startswith(_STAGING_PREFIX)]
        for entry in left:
            own = _is_of(entry.name, run_id)
            with contextlib.suppress(OSError):
                age_s = time.time() - entry.stat(follow_symlinks=False).st_mtime
                if entry.is_dir(follow_symlinks=False) and (own or age_s >= _ABANDONED_AFTER_S):
                    _remove_unused(Path(entry.path))


def _published_before(destination: Path) -> frozenset[str]:
    """Name what an earlier publication put right into the destination."""
    return _named_in(destination / MANIFEST, destination)


def _published_unfinished(destination: Path, run_id: str) -> frozenset[str]:
    """Name what an earlier driver of a run had delivered when it was killed, or had set the manifest aside of."""
    found: set[str] = set()
    for staging in destination.glob(f"{_STAGING_PREFIX}*"):
        if _is_of(staging.name, run_id) and not staging.is_symlink():
            found |= _named_in(staging / "old" / MANIFEST, destination)
            new = _named_in(staging / "new" / MANIFEST, destination)
            found |= {name for name in new if not os.path.lexists(staging / "new" / name)}
    return frozenset(found)


def _named_in(manifest: Path, destination: Path) -> frozenset[str]:
    try:
        earlier: JsonValue = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return frozenset()
    paths = (local_path(found) for found in file_objects(earlier))
    return frozenset(path.name for path in paths if path is not None and path.parent == destination)


def _deliver(placement: Placement, placed: CwlObject, move_from: tuple[Path, ...], staging: Path) -> None:
    destination, new, old = placement.destination, staging / "new", staging / "old"
    with contextlib.ExitStack() as undo:
        new.mkdir()
        old.mkdir()
        _gather(placement.deliveries, new, move_from, undo)
        manifest = new / MANIFEST
        manifest.write_text(json.dumps(placed, indent=2, ensure_ascii=True) + "\n", encoding="utf-8")
        _set_aside(destination / MANIFEST, old, undo)
        for delivery in placement.deliveries:
            if "/" not in delivery.target:
                _exchange(new / delivery.target, destination / delivery.target, old, undo)
        _exchange(manifest, destination / MANIFEST, old, undo)
        undo.pop_all()


@contextlib.contextmanager
def _staging_directory(destination: Path, run_id: str) -> Iterator[Path]:
    """Give a directory that others know to be in use as long as this process lives."""
    staging = Path(tempfile.mkdtemp(prefix=f"{_STAGING_PREFIX}{run_id}-", dir=destination))
    handle = os.open(staging, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield staging
    finally:
        os.close(handle)
        shutil.rmtree(staging, ignore_errors=True)


def _is_of(name: str, run_id: str) -> bool:
    return bool(run_id) and name.startswith(f"{_STAGING_PREFIX}{run_id}-")


def _remove_unused(staging: Path) -> None:
    """Remove a directory for staging whose publisher does not live any more."""
    handle = os.open(staging, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _put_back(staging)
        shutil.rmtree(staging, ignore_errors=True)
    finally:
        os.close(handle)


def _put_back(staging: Path) -> None:
    """Put back what was set aside for something that did not come; a manifest would not be true any more."""
    old = staging / "old"
    if old.is_symlink() or not old.is_dir():
        return
    for aside in old.iterdir():
        target = staging.parent / aside.name
        if aside.name != MANIFEST and not os.path.lexists(target):
            _quietly(aside.rename, target)


def _gather(
    deliveries: Sequence[Copied | Written | Made],
    new: Path,
    move_from: tuple[Path, ...],
    undo: contextlib.ExitStack,
) -> None:
    shared = _shared_sources([delivery.source for delivery in deliveries if isinstance(delivery, Copied)])
    for delivery in deliveries:
        target = new / delivery.target
        match delivery:
            case Made():
                target.mkdir()
            case Written():
                target.write_bytes(delivery.text.encode("utf-8", "surrogateescape"))
            case Copied():
                may_move = (
                    delivery.movable and delivery.source not in shared and _lies_below(delivery.source, move_from)
                )
                if not (may_move and _moved(delivery.source, target, undo)):
                    copy(delivery.source, target)
            case _:
                assert_never(delivery)


def _shared_sources(sources: Sequence[Path]) -> frozenset[Path]:
    """Find the sources that are delivered more than once, by themselves or as a part of another."""
    counts = Counter(sources)
    repeated = {source for source, count in counts.items() if count > 1}
    ordered = sorted(f"{source}/" for source in counts)
    around = {Path(path) for path, next_path in pairwise(ordered) if next_path.startswith(path)}
    inside = {source for source in counts if around.intersection(source.parents)} if around else set()
    return frozenset(repeated | around | inside)


def _lies_below(path: Path, roots: tuple[Path, ...]) -> bool:
    return any(str(path).startswith(f"{root}/") for root in roots)


def _moved(source: Path, target: Path, undo: contextlib.ExitStack) -> bool:
    """Move by renaming; another file system or a protected directory leaves it to be copied."""
    try:
        source.rename(target)
    except OSError:
        return False
    undo.callback(_quietly, target.rename, source)
    return True


def _exchange(new: Path, target: Path, old: Path, undo: contextlib.ExitStack) -> None:
    """Put something new in place of what is there, if anything is."""
    if os.path.lexists(target):
        if target.is_dir() and not target.is_symlink():
            _set_aside(target, old, undo)
        else:
            _back_up(target, old, undo)
    new.replace(target)
    undo.callback(_quietly, target.rename, new)


def _set_aside(target: Path, old: Path, undo: contextlib.ExitStack) -> None:
    if os.path.lexists(target):
        aside = old / target.name
        target.rename(aside)
        undo.callback(_quietly, aside.rename, target)


def _back_up(target: Path, old: Path, undo: contextlib.ExitStack) -> None:
    """Keep the old file under a second name, so that it can be replaced in one step."""
    backup = old / target.name
    try:
        os.link(target, backup, follow_symlinks=False)
    except OSError:
        _set_aside(target, old, undo)
        return
    undo.callback(_quietly, backup.replace, target)


def _quietly(action: Callable[..., object], *arguments: object) -> None:
    """Undo as much as can be undone: one failure must not keep the rest from being undone."""
    with contextlib.suppress(OSError):
        action(*arguments)
