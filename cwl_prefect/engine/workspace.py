"""The directories in which one call runs."""

import contextlib
import hashlib
import logging
import os
import re
import shutil
import stat
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cwl_prefect.errors import BackendError

_logger = logging.getLogger(__name__)

_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Where one call finds its inputs and leaves its outputs: ``<runs>/<run>/<step>/<index>``."""

    root: Path

    @property
    def out(self) -> Path:
        """The tool's output directory."""
        return self.root / "out"

    @property
    def tmp(self) -> Path:
        """The tool's temporary directory."""
        return self.root / "tmp"

    @property
    def stage(self) -> Path:
        """Inputs as the tool sees them, and what staging had to write for it; made when it is needed."""
        return self.root / "stage"

    @property
    def logs(self) -> Path:
        """What the tool printed, where it does not go to an output."""
        return self.root


def create(runs: Path, run_id: str, step: str, index: tuple[int, ...]) -> Workspace:
    """Make the empty workspace of a call; what an earlier try left there is removed.

    The path follows from the arguments alone; below ``runs`` it has only letters, digits, dots, dashes and underscores.

    Args:
        runs: Directory of all workspaces.
        run_id: Identifier of the run.
        step: Path of the step, as ``prepare.align``.
        index: Where the call stands in its scatter; empty outside any scatter.

    Raises:
        BackendError: The directories cannot be made.
    """
    try:
        workspace = locate(runs, run_id, step, index)
        workspace.root.parent.mkdir(parents=True, exist_ok=True)
        _make_empty(workspace.root)
        for directory in (workspace.out, workspace.tmp):
            directory.mkdir()
    except OSError as error:
        msg = f"the workspace of '{step}' cannot be made: {error}"
        raise BackendError(msg, hint="choose a writable directory with free space by --workdir") from error
    return workspace


def locate(runs: Path, run_id: str, step: str, index: tuple[int, ...]) -> Workspace:
    """Tell where the workspace of a call is or will be, without touching it."""
    place = "-".join(str(number) for number in index) or "call"
    return Workspace(root=_step_directory(runs, run_id, step) / place)


@lru_cache(maxsize=256)
def _step_directory(runs: Path, run_id: str, step: str) -> Path:
    return runs.resolve() / _directory_name(run_id) / _directory_name(step)


def remove_scratch(workspace: Workspace) -> None:
    """Remove what a call that ended well no longer needs: all but its outputs and logs."""
    _remove_tree(workspace.tmp)
    _remove_tree(workspace.stage)


def remove(workspace: Workspace) -> None:
    """Remove a workspace as far as possible; what cannot be removed is told to the log."""
    _remove_tree(workspace.root)


def remove_run(runs: Path, run_id: str) -> None:
    """Remove all workspaces of a run as far as possible; what cannot be removed is told to the log."""
    _remove_tree(runs.resolve() / _directory_name(run_id))


def _make_empty(root: Path) -> None:
    try:
        root.mkdir()
    except FileExistsError:
        _remove_tree(root)
        root.mkdir()


def _directory_name(name: str) -> str:
    """Spell a name with nothing that a path, a glob, a URI or a mount could misread; different names stay different."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:_LONGEST_NAME]
    if plain == name and plain.strip("."):
        return plain
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{plain.strip('.')}-{digest}"


def _remove_tree(root: Path) -> None:
    with contextlib.suppress(OSError):
        root.rmdir()  # most are empty, and this is many times faster than a walk
        return
    try:
        shutil.rmtree(root)
    except FileNotFoundError:
        if not root.exists():
            return
    except OSError:
        _allow_removal(root)
    shutil.rmtree(root, ignore_errors=True)
    if os.path.lexists(root):
        _logger.warning("%s cannot be removed; a container may have left files of another user there", root)


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
