"""The directories in which one call runs."""

import contextlib
import hashlib
import logging
import os
import re
import shutil
import stat
from collections.abc import Set
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path

from cwl_prefect._lib.own_files import make_within, rights_within
from cwl_prefect.errors import BackendError

_logger = logging.getLogger(__name__)

SCRATCH = ".scratch"  # in the directory of a run: what its calls use one after the other
DRIVER_LOCK = ".driver"  # there too: locked by its driver; the kernel lets go of it however the driver ends
UPLOADS = ".uploads"  # there too: uploads of its results that were begun and not ended
_LONGEST_NAME = 100
_SMALL = 256 * 1024  # bytes
_WHOLE_NAME = r"(?![\w.-])"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Where one call finds its inputs and leaves its outputs: ``<runs>/<run>/<step>/<index>``.

    What is of no use after a call that ended well lies in ``scratch``, which calls of a run use one after the other;
    the root is then the output directory itself. To make and remove several directories for each call would cost more
    than everything else that a short call needs.
    """

    root: Path
    scratch: Path | None = None  # None: in the root

    @property
    def out(self) -> Path:
        """The tool's output directory."""
        return self.root if self.scratch is not None else self.root / "out"

    @property
    def tmp(self) -> Path:
        """The tool's temporary directory."""
        return (self.scratch or self.root) / "tmp"

    @property
    def stage(self) -> Path:
        """Inputs as the tool sees them, and what staging had to write for it; made when it is needed."""
        return (self.scratch or self.root) / "stage"

    @property
    def logs(self) -> Path:
        """What the tool printed, where it does not go to an output; nothing else, so that the tool may see it."""
        return (self.scratch or self.root) / "logs"

    def of_text(self, text: str, before: "Workspace") -> str:
        """Return a text with paths of this workspace in place of those that it had before it was settled."""
        if self == before or before.scratch is None:
            return text
        text = re.sub(re.escape(str(before.root)) + _WHOLE_NAME, lambda _: str(self.out), text)
        return re.sub(re.escape(str(before.scratch)) + _WHOLE_NAME, lambda _: str(self.root), text)


class ScratchPool:
    """Scratch directories of a run, each used by one call at a time."""

    def __init__(self, runs: Path, run_id: str) -> None:
        self._directory = run_directory(runs, run_id) / SCRATCH
        self._free: list[Path] = []
        self._numbers = count()

    def take(self) -> Path:
        """Return a scratch directory with an empty ``tmp``, and ``logs`` with nothing but empty files.

        Raises:
            BackendError: It cannot be made.
        """
        with contextlib.suppress(IndexError):
            return self._free.pop()
        scratch = self._directory / str(next(self._numbers))
        try:
            make_within(scratch / "tmp")
            make_within(scratch / "logs")
        except OSError as error:
            raise _no_place("a step", error) from error
        return scratch

    def give_back(self, workspace: Workspace) -> None:
        """Empty the scratch directory of a call that ended well, for the next; one that resists is removed."""
        scratch = workspace.scratch
        if scratch is None:
            return
        try:
            with os.scandir(scratch) as entries:
                for entry in entries:
                    _empty(entry)
        except OSError:
            remove_tree(scratch)
        else:
            self._free.append(scratch)


def run_directory(runs: Path, run_id: str) -> Path:
    """Return where all workspaces of a run lie."""
    return runs.resolve() / _directory_name(run_id)


def locate(runs: Path, run_id: str, step: str, index: tuple[int, ...]) -> Workspace:
    """Return where the workspace of a call is or will be, without touching it.

    The path follows from the arguments alone; below ``runs`` it has only letters, digits, dots, dashes and underscores.

    Args:
        runs: Directory of all workspaces.
        run_id: Identifier of the run.
        step: Path of the step, as ``prepare.align``.
        index: Where the call stands in its scatter; empty outside any scatter.
    """
    place = "-".join(str(number) for number in index) or "call"
    return Workspace(root=_step_directory(runs, run_id, step) / place)


def create(workspace: Workspace) -> None:
    """Make the empty directories of a workspace; what an earlier try left there is removed.

    Raises:
        BackendError: They cannot be made.
    """
    try:
        make_empty(workspace.root)
        if workspace.scratch is None:
            for directory in (workspace.out, workspace.tmp, workspace.logs):
                make_within(directory)
    except OSError as error:
        raise _no_place(f"'{workspace.root.parent.name}'", error) from error


def settle(workspace: Workspace) -> Workspace:
    """Bring the scratch of a call to its workspace, as evidence of what happened there, and return how it lies now.

    It then lies as a workspace without scratch does: ``out``, ``tmp``, ``stage`` and ``logs``.
    """
    scratch, settled = workspace.scratch, Workspace(root=workspace.root)
    if scratch is None:
        return workspace
    with contextlib.suppress(OSError):
        if scratch.is_dir():
            workspace.root.rename(scratch / settled.out.name)
            scratch.rename(settled.root)
    return settled if settled.logs.is_dir() and not scratch.exists() else workspace


def tidy(workspace: Workspace) -> None:
    """Remove what is of no use after a call that ended well, where it lies in the workspace itself."""
    if workspace.scratch is not None:
        return
    for directory in (workspace.tmp, workspace.stage, workspace.logs):
        if directory.is_dir():
            remove_tree(directory)


def remove(workspace: Workspace) -> None:
    """Remove a workspace as far as possible; what cannot be removed is told to the log."""
    remove_tree(workspace.root)


def remove_tree(root: Path) -> None:
    """Remove a directory as far as possible, also where a tool left it read-only; what stays is told to the log."""
    with contextlib.suppress(OSError):
        _remove_empty(root)
        return
    try:
        shutil.rmtree(root)
    except FileNotFoundError:
        if not root.exists():
            return
    except OSError:
        _allow_removal(root)
    else:
        return
    shutil.rmtree(root, ignore_errors=True)
    if os.path.lexists(root):
        _logger.warning("%s cannot be removed; a container may have left files of another user there", root)


def _remove_empty(root: Path) -> None:
    """Remove a directory that is empty but for empty ones, as most are: this is many times faster than a walk.

    Raises:
        OSError: There is more in it, or it is not there.
    """
    with contextlib.suppress(OSError):
        root.rmdir()
        return
    with os.scandir(root) as found:
        directories = [entry.path for entry in found if entry.is_dir(follow_symlinks=False)]
    for directory in directories:
        os.rmdir(directory)  # noqa: PTH106 - many times faster, and called for each call of a run
    root.rmdir()


def remove_run(runs: Path, run_id: str) -> None:
    """Remove all workspaces of a run as far as possible; what cannot be removed is told to the log."""
    with contextlib.suppress(OSError):
        clear_run(runs, run_id, spared=frozenset({DRIVER_LOCK}))  # goes last: it tells whose the rest is
    remove_tree(run_directory(runs, run_id))


def clear_run(runs: Path, run_id: str, *, spared: Set[str]) -> None:
    """Remove all workspaces of a run as far as possible, but leave some files beside them.

    Args:
        runs: Directory of all workspaces.
        run_id: Identifier of the run.
        spared: Names of what stays.
    """
    with contextlib.suppress(FileNotFoundError), os.scandir(run_directory(runs, run_id)) as found:
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                remove_tree(Path(entry.path))
            elif entry.name not in spared:
                Path(entry.path).unlink(missing_ok=True)


@lru_cache(maxsize=256)
def _step_directory(runs: Path, run_id: str, step: str) -> Path:
    return run_directory(runs, run_id) / _directory_name(step)


def _no_place(who: str, error: OSError) -> BackendError:
    return BackendError(
        f"the workspace of {who} cannot be made: {error}",
        hint="choose a writable directory with free space by --workdir",
    )


def _empty(entry: "os.DirEntry[str]") -> None:
    """Remove one thing from a scratch directory, but leave ``tmp`` and ``logs`` for the next call."""
    if not entry.is_dir(follow_symlinks=False):
        Path(entry.path).unlink()
    elif entry.name == "stage":
        _remove_staged(entry.path)
    elif not _is_ready(entry):
        remove_tree(Path(entry.path))
        if entry.name in ("tmp", "logs"):
            make_within(Path(entry.path))


def _remove_staged(directory: str) -> None:
    """Remove what staging put there, many times faster than a walk that trusts nobody.

    A process that could put a link in its way is the user's own.

    Raises:
        OSError: Something cannot be removed.
    """
    with os.scandir(directory) as found:
        entries = list(found)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            _remove_staged(entry.path)
        else:
            os.unlink(entry.path)  # noqa: PTH108 - a text
    os.rmdir(directory)  # noqa: PTH106 - likewise


def _is_ready(directory: "os.DirEntry[str]") -> bool:
    """Check whether the next call may use a directory as it is; most print nothing and leave nothing."""
    with os.scandir(directory.path) as inside:
        if directory.name == "logs":
            return all(left.is_file(follow_symlinks=False) and left.stat().st_size == 0 for left in inside)
        return directory.name == "tmp" and next(inside, None) is None


def make_empty(root: Path) -> None:
    """Make a directory that is empty, whatever lies there.

    Raises:
        OSError: It cannot be made, or what lies there cannot be removed.
    """
    try:
        root.mkdir(rights_within(root.parent))
    except FileNotFoundError:
        make_within(root)
    except FileExistsError:
        remove_tree(root)
        root.mkdir(rights_within(root.parent))


def _directory_name(name: str) -> str:
    """Spell a name with nothing that a path, a glob, a URI or a mount could misread; different names stay different."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:_LONGEST_NAME]
    if plain == name and plain.strip("."):
        return plain
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{plain.strip('.')}-{digest}"


def _allow_removal(root: Path) -> None:
    """Make every directory of a tree writable for its owner; links are not followed."""
    pending = [root]
    while pending:
        directory = pending.pop()
        try:
            directory.chmod(stat.S_IRWXU)
            with os.scandir(directory) as entries:
                pending.extend(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError:
            continue


def is_small(directory: Path) -> bool:
    """Check whether reading all files of a directory takes no longer than a hop to a thread."""
    total = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            if not entry.is_file(follow_symlinks=False):
                return False
            total += entry.stat(follow_symlinks=False).st_size
            if total > _SMALL:
                return False
    return True
