"""Which runs have Jobs, noted on this machine, so that a reaper asks no cluster about runs that never used one."""

from pathlib import Path

from cwl_prefect.backends.naming import resource_name


def note(home: Path, run_id: str, namespace: str) -> bool:
    """Note that a run has Jobs in a namespace; tell whether no earlier driver had."""
    mark = _mark(home, run_id)
    new = not mark.exists()
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(f"{namespace}\n{run_id}\n", encoding="utf-8")
    return new


def noted(home: Path, run_id: str) -> str | None:
    """Give the namespace of a run's Jobs, or None where it is not known to have any."""
    return _read(_mark(home, run_id))[0] or None


def noted_runs(home: Path) -> list[str]:
    """Give the runs that are known to have, or to have had, Jobs."""
    found = (_read(mark)[1] for mark in (home / "kubernetes").glob("*"))
    return [run_id for run_id in found if run_id]


def forget(home: Path, run_id: str) -> None:
    """Take note that a run has no Jobs any more."""
    _mark(home, run_id).unlink(missing_ok=True)


def _read(mark: Path) -> tuple[str, str]:
    """Give the namespace and the run of a mark, empty where it has none."""
    try:
        namespace, _, run_id = mark.read_text(encoding="utf-8").partition("\n")
    except OSError:
        return "", ""
    return namespace.strip(), run_id.strip()


def _mark(home: Path, run_id: str) -> Path:
    return home / "kubernetes" / resource_name(run_id)
