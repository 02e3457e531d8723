"""A Prefect server and workers that are started again when they are killed, as a supervisor does."""

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import httpx

from tests.deployments.site import Site
from tests.soak.plan import Target
from tests.soak.pools import Pool
from tests.soak.workflows import NAMES, document

T = TypeVar("T")

AT_ONCE = 3  # runs of a pool
AGAIN = "again"  # in the name of a deployment with a schedule
PAGE = 200
_AGAIN_S, _PATIENCE_S = 1.0, 60.0


class Worker:
    """A worker of a pool that is started again whenever it ended."""

    def __init__(self, site: Site, pool: str) -> None:
        self._site, self._pool = site, pool
        self._done = threading.Event()
        self._pid: int | None = None
        self._thread = threading.Thread(target=self._keep, name=f"worker of {pool}")
        self._thread.start()

    def kill(self) -> None:
        """Kill it, and nothing that it started."""
        if self._pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    def stop(self) -> None:
        """Let it end, and be it for good."""
        self._done.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._done.is_set():
            with self._site.worker(self._pool) as process:
                self._pid = process.pid
                while process.poll() is None and not self._done.wait(0.2):
                    pass
                self._pid = None
            self._done.wait(_AGAIN_S)


class Platform:
    """What a team operates: a server, pools with workers, and deployments.

    Attributes:
        site: The server.
        pools: By name.
        deployments: By identifier, the pool and the workflow of each.
    """

    def __init__(self, site: Site, pools: Sequence[Pool]) -> None:
        self.site = site
        self.pools: Mapping[str, Pool] = {pool.name: pool for pool in pools}
        self.deployments: dict[str, tuple[str, str]] = {}
        self._workers: dict[str, Worker] = {}
        self._scheduled: list[str] = []

    def deploy(self, interval_s: int) -> None:
        """Make the pools, and deploy each workflow to each; one to each by a schedule, too."""
        declared = []
        for pool in self.pools.values():
            pool.make()
            limit = {"concurrency_limit": AT_ONCE}
            self.site.send("PATCH", f"work_pools/{pool.name}", limit).raise_for_status()
            declared += [self._declared(pool, workflow) for workflow in NAMES]
            schedule = {"interval": [f"{interval_s}s"], "parameters": {"number": 1000}}
            declared.append({**self._declared(pool, NAMES[0]), "name": f"{pool.name}.{NAMES[0]}.{AGAIN}", **schedule})
        (self.site.directory / "all.yaml").write_text(json.dumps({"deployments": declared}))
        self.site.run("cwl-prefect", "deploy", "--from", "all.yaml")
        for each in self._all("deployments", sort="NAME_ASC"):
            pool_name, workflow, *_ = each["name"].split(".")
            self.deployments[each["id"]] = (pool_name, workflow)
            self._scheduled += [each["id"]] * each["name"].endswith(AGAIN)

    def _declared(self, pool: Pool, workflow: str) -> dict[str, object]:
        path = self.site.directory / f"{pool.name}-{workflow}.cwl"
        path.write_text(document(workflow, image=pool.image))
        return {"document": path.name, "pool": pool.name, "name": f"{pool.name}.{workflow}", **pool.declared()}

    @contextmanager
    def working(self) -> Iterator[None]:
        """Have workers."""
        with ExitStack() as stack:
            for name in self.pools:
                self._workers[name] = Worker(self.site, name)
                stack.callback(self._workers[name].stop)
            yield

    def collect(self) -> None:
        """Clean up each home, as is to be done every night."""
        for pool in self.pools.values():
            self.site.environment["CWL_PREFECT_HOME"] = str(pool.home)
            self.site.run("cwl-prefect", "workspace", "gc")
        self.site.environment["CWL_PREFECT_HOME"] = str(self.site.directory / "cwl-prefect")

    def end_schedules(self) -> None:
        """Let schedules start nothing more."""
        for each in self._scheduled:
            patiently(lambda each=each: self.site.send("POST", f"deployments/{each}/pause_deployment", {}))

    def start(self, pool: str, workflow: str, number: int) -> str:
        """Start a run."""
        (chosen, *_) = [each for each, found in self.deployments.items() if found == (pool, workflow)]
        return str(patiently(lambda: self.site.start(chosen, number=number)).json()["id"])

    def cancel(self, run: str) -> None:
        """Cancel a run as the UI does; one that has ended stays as it is."""
        wish = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
        if self.run(run)["state"]["type"] in ("PENDING", "RUNNING"):
            patiently(lambda: self.site.send("POST", f"flow_runs/{run}/set_state", wish))

    def kill(self, target: Target, pool: str, choice: float) -> str:
        """Kill something, start the server again where it is that, and say what it was; empty where there was none."""
        if target is Target.WORKER:
            self._workers[pool].kill()
            return pool
        if target is Target.SERVER:
            pid = json.loads((self.site.directory / "cwl-prefect/server/server.json").read_text())["pid"]
            os.kill(pid, signal.SIGKILL)
            time.sleep(_AGAIN_S)
            self.site.run("cwl-prefect", "server", "start")
            return str(pid)
        alive = sorted(self.pools[pool].alive())
        run = alive[int(choice * len(alive))] if alive else ""
        if run:
            self.pools[pool].kill_driver(run)
        return run

    def run(self, run: str) -> Any:
        """Give what the API has of a run."""
        return patiently(lambda: self.site.get(f"flow_runs/{run}"))

    def runs(self) -> list[Any]:
        """Give all runs of the deployments that were not just foreseen."""
        chosen = {"deployments": {"id": {"any_": list(self.deployments)}}}
        found = self._all("flow_runs", **chosen)
        return [run for run in found if not (run["auto_scheduled"] and run["state"]["type"] == "SCHEDULED")]

    def everything(self, kind: str) -> list[Any]:
        """Give all flow runs or task runs that the server knows."""
        return self._all(kind)

    def _all(self, kind: str, **chosen: object) -> list[Any]:
        found: list[Any] = []
        while True:
            asked = {"limit": PAGE, "offset": len(found), "sort": "ID_DESC", **chosen}
            page = patiently(lambda asked=asked: self.site.send("POST", f"{kind}/filter", asked)).json()
            found += page
            if len(page) < PAGE:
                return found


def patiently(ask: Callable[[], T]) -> T:
    """Ask again while the server is away."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return ask()
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_AGAIN_S)
