"""A run as a user starts it, by the command line or from a deployment, and how it is killed and resumed."""

import contextlib
import json
import os
import signal
from abc import ABC, abstractmethod
from contextlib import ExitStack

import psutil

from cwl_prefect.backends.naming import FLOW_RUN_LABEL
from tests.chaos.case import Case, Target
from tests.chaos.lane import POOL, Place
from tests.chaos.workflow import WORKFLOW, write_tools
from tests.commandline.driving import Started
from tests.deployments.site import ENDED
from tests.waiting import until

GONE_S = 10
TIME_LIMIT_S = 180


class Run(ABC):
    """One run of the workflow."""

    def __init__(self, place: Place, backend: str) -> None:
        self.place = place
        self.backend = backend
        self.run_ids: set[str] = set()
        self.told = ""  # by the last command

    @abstractmethod
    def start(self) -> None:
        """Begin it; returns when there is something to kill."""

    @abstractmethod
    def goes_on(self) -> bool:
        """Tell whether anybody may still drive it."""

    @abstractmethod
    def kill(self, target: Target) -> None:
        """Kill what drives it, or something of it; a driver that is killed is gone afterwards."""

    @abstractmethod
    def ended(self) -> bool:
        """Wait until nothing goes on, and tell whether it is complete."""

    @abstractmethod
    def resume(self) -> None:
        """Go on with it as its user would."""

    @abstractmethod
    def outputs(self) -> dict[str, object]:
        """Give its output object."""

    @abstractmethod
    def close(self) -> None:
        """End what still goes on."""


class Commanded(Run):
    """A run that ``cwl-prefect run`` drives."""

    def __init__(self, place: Place, backend: str) -> None:
        super().__init__(place, backend)
        self._driver: Started | None = None
        write_tools(place.directory)
        (place.directory / "flow.cwl").write_text(WORKFLOW)
        (place.directory / "order.json").write_text(json.dumps(place.order))

    def start(self) -> None:
        outdir = self.place.command.outdir
        self._driver = self.place.command.start(
            "run", "--backend", self.backend, "--outdir", outdir, "--tag", self.place.directory.name, "flow.cwl",
            "order.json",
        )  # fmt: skip

    def goes_on(self) -> bool:
        return self._driver is not None and self._driver.process.poll() is None

    def kill(self, target: Target) -> None:
        assert self._driver is not None
        with contextlib.suppress(psutil.NoSuchProcess, OSError):
            if target is Target.SERVER:
                os.kill(self.place.lane.server_pid() or self._driver.process.pid, signal.SIGKILL)
            elif target is Target.TOOL:
                self._kill_tool(self._driver.process.pid)
            else:
                self._driver.process.kill()
                self._driver.process.wait(GONE_S)

    def ended(self) -> bool:
        assert self._driver is not None
        ended = self._driver.ended()
        self.place.lane.serve()
        self.run_ids |= self._known_to_the_api()
        self.told = ended.stdout if ended.code == 0 else ended.stderr
        return ended.code == 0

    def resume(self) -> None:
        known = self.place.run_ids()
        if known:
            self._driver = self.place.command.start("runs", "resume", *known)
            return
        for run_id in self._known_to_the_api():  # killed before it noted how to go on with it
            self.place.command("runs", "cancel", "--delete", "--yes", run_id)
        self.start()

    def outputs(self) -> dict[str, object]:
        return json.loads(self.told)

    def close(self) -> None:
        if self._driver is not None and self._driver.process.poll() is None:
            self._driver.kill()

    def _known_to_the_api(self) -> set[str]:
        """Give the runs of this place: whoever is killed early is known to nobody and begun anew."""
        chosen = {"flow_runs": {"tags": {"any_": [self.place.directory.name]}}}
        return {each["id"] for each in self.place.lane.site.send("POST", "flow_runs/filter", chosen).json()}

    def _kill_tool(self, driver: int) -> None:
        if self.backend == "docker":
            import docker

            client = docker.from_env()
            for run_id in self.place.run_ids():
                for one in client.api.containers(filters={"label": f"{FLOW_RUN_LABEL}={run_id}"})[:1]:
                    with contextlib.suppress(docker.errors.APIError):  # it has ended meanwhile
                        client.api.kill(one["Id"])
            client.close()
            return
        tools = [each for each in psutil.Process(driver).children(recursive=True) if each.name() == "sleep"]
        for tool in tools[:1]:
            tool.kill()


class Deployed(Run):
    """A run of a deployment, which a worker starts."""

    def __init__(self, place: Place, backend: str) -> None:
        super().__init__(place, backend)
        self._workers = ExitStack()
        self._resuming: Started | None = None
        self._site = place.lane.site
        self._run_id = ""

    def start(self) -> None:
        self._site.run("cwl-prefect", "server", "start")
        order = self.place.order | {"text": str(self.place.directory / "text.txt")}
        self._run_id = self._site.start(self.place.lane.deployment, **order).json()["id"]
        self.run_ids.add(self._run_id)
        self._work()
        self._site.wait_for(lambda: self._site.state(self._run_id) != "SCHEDULED")

    def goes_on(self) -> bool:
        return self._site.state(self._run_id) not in ENDED

    def kill(self, target: Target) -> None:
        """Kill the worker; its children and the driver too where the run is to be killed with it."""
        doomed: list[psutil.Process] = []
        for process in self.place.processes():
            with contextlib.suppress(psutil.Error):
                is_worker = "worker" in process.cmdline()
                if is_worker or (target is not Target.WORKER and self._is_of_the_run(process)):
                    doomed.append(process)
        for process in doomed:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self._resuming is not None and target is not Target.WORKER:
            self._resuming.process.kill()
        until(lambda: not any(map(is_alive, doomed)), GONE_S)

    def ended(self) -> bool:
        if self._resuming is not None:
            ended = self._resuming.ended()
            self._resuming = None
            self.told = ended.stderr
            if ended.code != 0 and "it is Completed" not in ended.stderr:  # the server heard of it just after the kill
                self._interrupt_where_told(ended.stderr)
                return False
            if self._site.state(self._run_id) not in ENDED:
                self._work()
        until(self._has_settled, TIME_LIMIT_S, pause_s=0.3)
        return self._site.state(self._run_id) == "COMPLETED"

    def resume(self) -> None:
        self._end_workers()
        if self._site.state(self._run_id) == "SCHEDULED":
            self._work()
        else:
            self._resuming = self.place.command.start("runs", "resume", self._run_id, environment=self._site.prefect)

    def outputs(self) -> dict[str, object]:
        return self._site.outputs(self._run_id)

    def close(self) -> None:
        if self._resuming is not None and self._resuming.process.poll() is None:
            self._resuming.kill()
        self._end_workers()
        if self._site.state(self._run_id) not in ENDED:  # so that no other worker takes it
            self._site.send("DELETE", f"flow_runs/{self._run_id}", None)

    def _interrupt_where_told(self, refusal: str) -> None:
        """Do as the hint says where a worker was killed before it began the run."""
        if "`cwl-prefect runs interrupt` it first" in refusal:
            self._site.run("cwl-prefect", "runs", "interrupt", self._run_id)

    def _work(self) -> None:
        more = {**self.place.environment, "CWL_PREFECT_BACKEND": self.backend}
        self._workers.enter_context(self._site.worker(POOL, more))

    def _end_workers(self) -> None:
        self._workers.close()

    def _has_settled(self) -> bool:
        return self._site.state(self._run_id) in ENDED or not list(self.place.processes())

    def _is_of_the_run(self, process: psutil.Process) -> bool:
        """Tell whether a process is the flow run's own: it drives the run, or will soon."""
        if process.pid in self.place.drivers():
            return True
        parent = process.parent()
        return parent is not None and "worker" in parent.cmdline()


def is_alive(process: psutil.Process) -> bool:
    """Tell whether a process goes on; whoever started it is left to ask how it ended."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def run_of(case: Case, place: Place) -> Run:
    """Give the run that a case is about."""
    return (Deployed if case.deployed else Commanded)(place, case.backend)
