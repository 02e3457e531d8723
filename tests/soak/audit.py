"""How every run ended, what is left, and what has grown."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.leftovers import LOCKS
from tests.deployments.site import ENDED
from tests.soak.operator import Operator
from tests.soak.platform import Platform
from tests.soak.pools import DockerPool
from tests.soak.workflows import ODD, expected, fails

_PRAGMAS = ("page_count", "freelist_count", "page_size")
ASIDE = ("*.part", "*.tmp", ".cwl-prefect-*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What a soak left on disk on purpose.

    Attributes:
        database: Bytes of the server's database.
        home: Bytes of the homes, without the server's, results, the call cache and a program for pods.
        task_runs: Task runs that the server knows.
        runs: Flow runs that it knows.
    """

    database: int
    home: int
    task_runs: int
    runs: int


def wrong_ends(platform: Platform, operator: Operator) -> list[str]:
    """Name runs that did not end as they had to, each with its state."""
    return [
        f"{run['id']} {pool} {workflow}({run['parameters'].get('number')}): {problem}: "
        f"{run['state']['type']} {run['state']['name']}: {run['state']['message']}"
        for run in platform.runs()
        for pool, workflow in (platform.deployments[run["deployment_id"]],)
        if (problem := _problem(platform, operator, run, pool, workflow))
    ]


def _problem(platform: Platform, operator: Operator, run: Any, pool: str, workflow: str) -> str:
    state, number = run["state"], run["parameters"]["number"]
    if state["type"] == "CANCELLED" and run["id"] in operator.unwanted:
        return ""
    if fails(workflow, number):
        is_named = state["type"] == "FAILED" and f"code {ODD}" in (state["message"] or "")
        return "" if is_named else "no failure with a named cause"
    if state["type"] != "COMPLETED":
        return "not completed"
    outputs = platform.pools[pool].home / "outputs" / run["id"]
    try:
        text = json.loads((outputs / "cwl-prefect-outputs.json").read_text())["text"]
        found = (outputs / Path(text["path"]).name).read_text()
    except OSError as error:
        return f"no outputs ({error})"
    return "" if found == expected(workflow, number) else f"wrong output {found!r}"


def left(platform: Platform) -> list[str]:
    """Name what should be gone when all runs have ended and nobody works any more."""
    runs = [run["id"] for run in platform.runs()]
    found = [*_open_runs(platform), *_files(platform), *_locks(platform.site.directory)]
    for pool in platform.pools.values():
        found += pool.left_of(runs) if isinstance(pool, DockerPool) else pool.left()
    return found


def workspaces(platform: Platform) -> list[str]:
    """Name workspaces of runs that completed."""
    completed = {run["id"] for run in platform.runs() if run["state"]["type"] == "COMPLETED"}
    return [
        str(path)
        for pool in platform.pools.values()
        for path in (pool.home / "runs").glob("*")
        if path.name in completed
    ]


def grown(platform: Platform) -> Growth:
    """Measure what is kept on purpose."""
    server = platform.site.directory / "cwl-prefect/server"
    homes = [pool.home for pool in platform.pools.values()]
    beside = ("server", "outputs", "cache", ".cwl-prefect")
    kept = [path for home in homes for path in home.glob("*") if path.name not in beside]
    return Growth(
        database=_pages(server / "prefect/prefect.db"),
        home=sum(map(_size, kept)),
        task_runs=len(platform.everything("task_runs")),
        runs=len(platform.runs()),
    )


def _pages(database: Path) -> int:
    """Give the bytes of a database without what is to be written over."""
    with contextlib.closing(sqlite3.connect(database)) as opened:
        pages, free, size = (opened.execute(f"PRAGMA {name}").fetchone()[0] for name in _PRAGMAS)
    return (pages - free) * size


def _size(place: Path) -> int:
    return sum(path.stat().st_size for path in (place, *place.rglob("*")) if path.is_file())


def _open_runs(platform: Platform) -> Iterator[str]:
    for kind in ("flow_runs", "task_runs"):
        for each in platform.everything(kind):
            state = (each["state"] or {}).get("type")
            if state not in ENDED:
                yield f"{kind} {each['id']} {each['name']} of {each.get('flow_run_id')} is {state}"


def _files(platform: Platform) -> Iterator[str]:
    for pattern in ASIDE:
        yield from (str(path) for path in platform.site.directory.rglob(pattern))


def _locks(directory: Path) -> Iterator[str]:
    if not LOCKS.is_file():
        return
    locked = {line.split()[-3].rpartition(":")[2] for line in LOCKS.read_text().splitlines()}
    for path in directory.rglob("*"):
        with contextlib.suppress(OSError):
            if "server" not in path.parts and str(path.stat().st_ino) in locked:
                yield f"lock on {path}"
