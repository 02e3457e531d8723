"""A long history on the local server and in a home: ended runs as they are kept, without the work of running them."""

import time
import urllib.error
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path

from cwl_prefect.engine import manifest
from cwl_prefect.engine.manifest import Outcome, RunManifest
from cwl_prefect.flows.tagging import MARK
from cwl_prefect.settings import Settings
from tests.bench.catch_up import local_api, post
from tests.bench.processes import BenchError

_AT_ONCE = 2
_TRIES = 20  # the server of a home answers 503 while its database is busy
_PAUSE_S = 0.5


def fill(home: Path, runs: int) -> None:
    """Give a home, whose server runs, this many runs that failed just now, so that nothing of them is to be removed.

    Raises:
        BenchError: The server does not take them.
    """
    api = local_api(home)
    flow = post(api, "flows/", {"name": "history"})
    if not isinstance(flow, dict):
        raise BenchError(f"the server gave no flow: {flow!r}")
    settings = Settings(home=home / ".cache" / "cwl-prefect")

    def add(number: int) -> None:
        run = {"flow_id": flow["id"], "name": f"history-{number}", "tags": [MARK], "state": {"type": "FAILED"}}
        _note(settings, _made(api, run), number)

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for _ in threads.map(add, range(runs)):
            pass


def _made(api: str, run: dict[str, object]) -> str:
    for _ in range(_TRIES):
        try:
            made = post(api, "flow_runs/", run)
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
                raise
            time.sleep(_PAUSE_S)
        else:
            if isinstance(made, dict):
                return str(made["id"])
    raise BenchError("the server takes no more runs")


def _note(settings: Settings, run_id: str, number: int) -> None:
    directory = settings.runs / run_id
    directory.mkdir(parents=True)
    known = RunManifest(
        run_id=run_id, name=f"history-{number}", workflow="history", plan="0" * 64, job_order={"number": number}
    )
    manifest.write(directory, known.ended_as(Outcome.FAILED, "it failed"))
