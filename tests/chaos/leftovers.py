"""What a run may leave, and must not."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from cwl_prefect.backends.naming import FLOW_RUN_LABEL
from tests.chaos.runs import Run
from tests.deployments.site import ENDED
from tests.prefect_api import matching

LOCKS = Path("/proc/locks")
KEPT_BESIDE = (".plans", "audit.jsonl")
ENDED_S = 15  # the process of a deployment's run ends a while after the run
HEARD_S = 15  # the server writes down later what task runs tell it


def left(run: Run, *, docker: bool) -> list[str]:
    """Name what is left of a run that is complete: on disk, among processes, in the engine and on the API."""
    deadline = time.monotonic() + ENDED_S
    while list(_processes(run)) and time.monotonic() < deadline:
        time.sleep(0.5)
    found = [*_files(run), *_locks(run), *_processes(run), *_open_runs(run)]
    found += _containers(run) if docker else []
    return found or _workspaces(run)


def _workspaces(run: Run) -> list[str]:
    """Name workspaces; those of a run whose driver was killed after Prefect had called it complete are for ``gc``."""
    if _of_runs(run):
        collected = run.place.command("workspace", "gc", environment=run.place.lane.site.prefect)
        assert collected.code == 0, collected.stderr
    return _of_runs(run)


def _of_runs(run: Run) -> list[str]:
    runs = run.place.runs
    return [str(path) for path in runs.iterdir() if path.name not in KEPT_BESIDE] if runs.is_dir() else []


def _open_runs(run: Run) -> list[str]:
    """Name flow runs and task runs that the API takes for unfinished when it has heard of everything."""
    deadline = time.monotonic() + HEARD_S
    while (found := list(_open_now(run))) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def _files(run: Run) -> Iterator[str]:
    """Name what was being written aside."""
    place = run.place
    for pattern in ("*.part", "*.tmp", ".cwl-prefect-*"):
        yield from (str(path) for path in place.directory.rglob(pattern))
        yield from (str(path) for path in place.lane.home.rglob(pattern))
    yield from (str(path) for path in (place.cache / "parts").glob("*"))
    yield from (str(path) for path in (place.directory / "tmp").iterdir() if not _is_of_prefect(path.name))


def _is_of_prefect(name: str) -> bool:
    """Tell whether a temporary directory is one that Prefect's killed worker made and nobody else knows of."""
    return name == "runner_storage" or name.startswith("prefect-") or name.endswith("prefect")


def _locks(run: Run) -> Iterator[str]:
    """Name files of the run that somebody still locks."""
    if not LOCKS.is_file():
        return
    locked = {line.split()[-3].rpartition(":")[2] for line in LOCKS.read_text().splitlines()}
    for path in run.place.directory.rglob("*"):
        with contextlib.suppress(OSError):
            if str(path.stat().st_ino) in locked:
                yield f"lock on {path}"


def _processes(run: Run) -> Iterator[str]:
    """Name processes that belong to the run, by their environment or by where they are."""
    for process in run.place.processes():
        yield repr(process)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd().startswith(str(run.place.directory)):
                yield repr(process)


def _open_now(run: Run) -> Iterator[str]:
    api = run.place.lane.site.api
    chosen = {"id": {"any_": sorted(run.run_ids)}}
    for kind in ("flow_runs", "task_runs"):
        for each in matching(api, kind, flow_runs=chosen):
            state = (each["state"] or {}).get("type")
            if state not in ENDED:
                yield f"{kind} {each['id']} {each['name']} {state}"


def _containers(run: Run) -> list[str]:
    import docker

    client = docker.from_env()
    found = []
    for run_id in run.run_ids:
        found += [one["Id"] for one in client.api.containers(all=True, filters={"label": f"{FLOW_RUN_LABEL}={run_id}"})]
    client.close()
    return found
