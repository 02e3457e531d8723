"""Which runs have Jobs, noted on this machine, so that a reaper asks no cluster about runs that never used one.

Beside the runs' manifests, since whoever removes Jobs may know neither a run's directory nor its settings, and since
its directory may be gone before its Jobs are.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from cwl_prefect._lib.atomic_write import write_whole
from cwl_prefect._lib.own_files import make_private
from cwl_prefect.backends.naming import resource_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """That a run has, or had, Jobs.

    Attributes:
        run_id: The run.
        namespace: Where they are.
        pool: Work pool that names their cluster; None where it is the one that this machine is configured for.
    """

    run_id: str
    namespace: str
    pool: str | None = None


def note(home: Path, mark: Mark) -> bool:
    """Note that a run has Jobs; return whether no earlier driver had."""
    path = _path(home, mark.run_id)
    new = not path.exists()
    make_private(path.parent)
    write_whole(path, json.dumps(asdict(mark)).encode())
    return new


def noted(home: Path, run_id: str) -> Mark | None:
    """Return the mark of a run, or None where it is not known to have Jobs."""
    return _read(_path(home, run_id))


def noted_runs(home: Path) -> list[str]:
    """Return the runs that are known to have, or to have had, Jobs."""
    return [mark.run_id for mark in map(_read, (home / "kubernetes").glob("*")) if mark is not None]


def forget(home: Path, run_id: str) -> None:
    """Take note that a run has no Jobs any more."""
    _path(home, run_id).unlink(missing_ok=True)


def _read(path: Path) -> Mark | None:
    try:
        return Mark(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _path(home: Path, run_id: str) -> Path:
    return home / "kubernetes" / resource_name(run_id)
