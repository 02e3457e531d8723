"""How long the server still works on a run's events after the run has ended: until then the UI shows an old state."""

import time
from pathlib import Path
from time import perf_counter

import httpx

from cwl_prefect.server.local_server import server_files
from cwl_prefect.server.state import read_state
from cwl_prefect.settings import Settings
from tests import prefect_api
from tests.bench.processes import BenchError

POLL_S = 0.2
QUIET_S = 6.0  # nothing new for so long: the server has caught up
LIMIT_S = 120.0


def local_api(home: Path) -> str:
    """Give the address of the API of a home's local server.

    Raises:
        BenchError: It is not running.
    """
    if read_state(server_files(Settings(home=home / ".cache" / "cwl-prefect"))) is None:
        raise BenchError("the local server is not running")
    return prefect_api.local_api(home / ".cache" / "cwl-prefect")


def post(api: str, path: str, body: dict[str, object]) -> object:
    """Ask an API, and give what it answers."""
    answer = httpx.post(f"{api}/{path}", json=body, headers={"User-Agent": "bench"}, timeout=60)
    return answer.raise_for_status().json()


def seconds_to_catch_up(home: Path) -> tuple[float, int]:
    """Wait until the latest run's task runs stand still, all ended; give the seconds that took, and their number.

    Raises:
        BenchError: The server has no such run, or does not catch up.
    """
    begin = perf_counter()
    api = local_api(home)
    runs = post(api, "flow_runs/filter", {"sort": "START_TIME_DESC", "limit": 1})
    if not isinstance(runs, list) or not runs:
        raise BenchError("the server knows of no flow run")
    of_run: dict[str, object] = {"flow_runs": {"id": {"any_": [runs[0]["id"]]}}}
    completed = {**of_run, "task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    seen, changed = (-1, -1), perf_counter()
    while perf_counter() - changed < QUIET_S or seen[0] != seen[1]:
        if perf_counter() - begin > LIMIT_S:
            raise BenchError(f"after {LIMIT_S:.0f} s the server shows {seen[1]} of {seen[0]} task runs as completed")
        asked = perf_counter()
        now = (post(api, "task_runs/count", of_run), post(api, "task_runs/count", completed))
        if now != seen:
            seen, changed = now, asked
        time.sleep(POLL_S)
    if not seen[0]:
        raise BenchError("the server shows no task run at all")
    return changed - begin, seen[0]
