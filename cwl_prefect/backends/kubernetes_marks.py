"""Which runs have Jobs, noted on this machine, so that a reaper asks no cluster about runs that never used one."""

from dataclasses import dataclass
from pathlib import Path

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
    """Note that a run has Jobs; tell whether no earlier driver had."""
    path = _path(home, mark.run_id)
    new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{mark.namespace}\n{mark.run_id}\n{mark.pool or ''}\n", encoding="utf-8")
    return new


def noted(home: Path, run_id: str) -> Mark | None:
    """Give the mark of a run, or None where it is not known to have Jobs."""
    return _read(_path(home, run_id))


def noted_runs(home: Path) -> list[str]:
    """Give the runs that are known to have, or to have had, Jobs."""
    return [mark.run_id for mark in map(_read, (home / "kubernetes").glob("*")) if mark is not None]


def forget(home: Path, run_id: str) -> None:
    """Take note that a run has no Jobs any more."""
    _path(home, run_id).unlink(missing_ok=True)


def _read(path: Path) -> Mark | None:
    try:
        namespace, run_id, pool, *_ = [*path.read_text(encoding="utf-8").splitlines(), "", "", ""]
    except OSError:
        return None
    return Mark(run_id=run_id, namespace=namespace, pool=pool or None) if namespace and run_id else None


def _path(home: Path, run_id: str) -> Path:
    return home / "kubernetes" / resource_name(run_id)
