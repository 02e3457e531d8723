"""The results of a run, delivered whole or not at all."""

import contextlib
import errno
import json
import logging
import math
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import assert_never

from pydantic import JsonValue

from cwl_prefect._lib.file_lock import locked_directory
from cwl_prefect.engine.outputs.placement import Copied, Made, Placement, Written, path_here
from cwl_prefect.engine.staging.copying import copy
from cwl_prefect.errors import PublishError
from cwl_prefect.model.values import CwlObject, as_object, file_objects

_logger = logging.getLogger(__name__)

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


def publish(
    outputs: CwlObject,
    destination: Path,
    *,
    move_from: tuple[Path, ...],
    run_id: str = "",
    inputs: CwlObject | None = None,
    since_s: float = math.inf,
) -> CwlObject:
    """Deliver every File and Directory of an output object to a directory.

    All is staged aside in a dot directory there, then renamed; :data:`MANIFEST` comes last. Nobody ever sees half a
    file, and after a failure all is as it was. What may be replaced, and what gets another name, :func:`_placed` says.

    Args:
        outputs: Of a run; files may have a local path or URI, be literals, or lie elsewhere (``http:``) and stay there.
        destination: Directory for the outputs; made where it does not exist.
        move_from: Directories whose files need not stay where they are; all others are copied, links followed.
        run_id: The run that they are from; what an earlier driver of it left there is removed or replaced.
        inputs: Job order of the run.
        since_s: When the run began, in seconds since the epoch.

    Returns:
        The output object with location, path, basename, size and checksum of every file, and every directory's listing.

    Raises:
        PublishError: The outputs cannot be read, or the destination cannot be written.
    """
    try:
        with contextlib.ExitStack() as held, contextlib.ExitStack() as undo:
            place = _made_directory(destination, undo)
            held.enter_context(_alone(place))
            placement, placed = _placed(outputs, place, run_id, inputs or {}, since_s)
            with _staging_directory(place, run_id) as staging:
                _deliver(placement.deliveries, placed, tuple(root.resolve() for root in move_from), staging)
                undo.pop_all()
    except OSError as error:
        raise _refused(destination, error) from error
    return placed


def demand_writable(destination: Path) -> None:
    """Check that outputs could be written to a directory, or that it could be made, as far as that is known now.

    Raises:
        PublishError: They could not.
    """
    try:
        wanted = Path(os.path.realpath(destination))
        place = next(each for each in (wanted, *wanted.parents) if each.exists())
        code = _refusing(place)
    except OSError as error:
        raise _refused(destination, error) from error
    if code is not None:
        raise _refused(destination, OSError(code, os.strerror(code), str(place)))


def _refusing(place: Path) -> int | None:
    """Return the number of the error that it would be to make something in a directory that exists."""
    if not place.is_dir():
        return errno.ENOTDIR
    if os.access(place, os.W_OK | os.X_OK):
        return None
    return errno.EROFS if os.statvfs(place).f_flag & os.ST_RDONLY else errno.EACCES


def _refused(destination: Path, error: OSError) -> PublishError:
    where = "" if error.filename in {None, str(destination)} else f" ({error.filename})"
    msg = f"the outputs cannot be written to {destination}: {error.strerror or error}{where}."
    return PublishError(msg, hint=_HINTS.get(error.errno or 0))


def _placed(
    outputs: CwlObject, place: Path, run_id: str, inputs: CwlObject, since_s: float
) -> tuple[Placement, CwlObject]:
    """Return outputs with their places in a directory.

    Files of the same name are replaced; a directory only where an earlier manifest shows that it came from here. Never
    replaced are inputs of the run, and what others have put there since it began: other runs deliver there at the same
    time. An output whose name is taken gets ``_2``.
    """
    replaceable = _published_before(place) | _published_unfinished(place, run_id)
    remove_abandoned(place, run_id)
    kept = frozenset(_names_of_inputs(inputs, place))
    others = frozenset(_names_since(since_s, place)) - kept - {MANIFEST}
    placement = Placement(destination=place, reserved=kept | others | {MANIFEST}, replaceable=replaceable)
    placed = as_object(placement.place(outputs))
    _tell_renamed(place, kept & placement.asked, "is an input of this run and stays")
    _tell_renamed(place, others & placement.asked, "came there during the run")
    return placement, placed


def _tell_renamed(place: Path, names: Iterable[str], why: str) -> None:
    for name in sorted(names):
        _logger.warning("%s %s; the output has another name", place / name, why)


@contextlib.contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Let others wait who publish to the same directory, where its file system has locks."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            held.enter_context(locked_directory(place, wait=True))
        yield


def _names_since(since_s: float, place: Path) -> Iterator[str]:
    """Yield what came into a directory since a time, by the clock of its file system."""
    if since_s == math.inf:
        return
    with tempfile.NamedTemporaryFile(dir=place, prefix=_STAGING_PREFIX) as now:
        since_s += os.fstat(now.fileno()).st_ctime - time.time()
    with os.scandir(place) as entries:
        yield from (entry.name for entry in entries if entry.stat(follow_symlinks=False).st_ctime > since_s)


def _names_of_inputs(inputs: CwlObject, place: Path) -> Iterator[str]:
    """Yield what of the destination is an input, or holds one."""
    for found in file_objects(inputs):
        path = path_here(found)
        if path is None:
            continue
        real = Path(os.path.realpath(path))
        if real != place and real.is_relative_to(place):
            yield real.relative_to(place).parts[0]


def _made_directory(destination: Path, undo: contextlib.ExitStack) -> Path:
    place = destination.resolve()
    missing = [directory for directory in (place, *place.parents) if not directory.exists()]
    for directory in reversed(missing):
        try:
            directory.mkdir(exist_ok=True)
        except FileNotFoundError as error:  # as in /proc
            msg = f"the outputs cannot be written to {destination}: no directory can be made in {directory.parent}"
            raise PublishError(msg, hint="choose another directory by --outdir") from error
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
    paths = (path_here(found) for found in file_objects(earlier))
    return frozenset(path.name for path in paths if path is not None and path.parent == destination)


def _deliver(
    deliveries: Sequence[Copied | Written | Made], placed: CwlObject, move_from: tuple[Path, ...], staging: Path
) -> None:
    destination, new, old = staging.parent, staging / "new", staging / "old"
    with contextlib.ExitStack() as undo:
        new.mkdir()
        old.mkdir()
        _gather(deliveries, new, move_from, undo)
        manifest = new / MANIFEST
        manifest.write_text(json.dumps(placed, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        _set_aside(destination / MANIFEST, old, undo)
        for delivery in deliveries:
            if "/" not in delivery.target:
                _exchange(new / delivery.target, destination / delivery.target, old, undo)
        _exchange(manifest, destination / MANIFEST, old, undo)
        undo.pop_all()


@contextlib.contextmanager
def _staging_directory(destination: Path, run_id: str) -> Iterator[Path]:
    """Return a directory that others know to be in use as long as this process lives."""
    staging = Path(tempfile.mkdtemp(prefix=f"{_STAGING_PREFIX}{run_id}-", dir=destination))
    try:
        with contextlib.ExitStack() as held:
            with contextlib.suppress(OSError):  # a file system without locks
                held.enter_context(locked_directory(staging, wait=False))
            yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _is_of(name: str, run_id: str) -> bool:
    return bool(run_id) and name.startswith(f"{_STAGING_PREFIX}{run_id}-")


def _remove_unused(staging: Path) -> None:
    """Remove a directory for staging whose publisher does not live any more."""
    with locked_directory(staging, wait=False):
        _put_back(staging)
        shutil.rmtree(staging, ignore_errors=True)


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
