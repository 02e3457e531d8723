"""Which runs have Jobs, noted on this machine, so that a reaper asks no cluster about runs that never used one."""

from pathlib import Path

from cwl_prefect.backends.naming import resource_name


def note(home: Path, run_id: str, namespace: str) -> bool:
    """Note that a run has Jobs in a namespace; tell whether no earlier driver had."""
    mark = _mark(home, run_id)
    new = not mark.exists()
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(namespace, encoding="utf-8")
    return new


def noted(home: Path, run_id: str) -> str | None:
    """Give the namespace of a run's Jobs, or None where it is not known to have any."""
    try:
        return _mark(home, run_id).read_text(encoding="utf-8")
    except OSError:
        return None


def forget(home: Path, run_id: str) -> None:
    """Take note that a run has no Jobs any more."""
    _mark(home, run_id).unlink(missing_ok=True)


def _mark(home: Path, run_id: str) -> Path:
    return home / "kubernetes" / resource_name(run_id)
