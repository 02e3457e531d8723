"""Pools of each type: what deployments need there, which runs go on, and how its driver is killed."""

import contextlib
import json
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from tests.deployments.in_cluster import kubectl, pool_on_the_node, variables_in
from tests.deployments.site import Site, containers

IMAGE = "busybox:1.35"
FLOW_RUN, OF_STEPS = "PREFECT__FLOW_RUN_ID", "cwl-prefect.io/flow-run-id"


class Pool(ABC):
    """A work pool with whatever its flow runs need.

    Attributes:
        name: Name of the pool, which is its type.
        home: What its flow runs have as their home, as this machine sees it.
        image: Image of its tools; None: they are processes.
    """

    image: str | None = IMAGE

    def __init__(self, site: Site, name: str, home: Path) -> None:
        self.site, self.name, self.home = site, name, home

    def make(self) -> None:
        """Make the pool."""
        self.site.run("cwl-prefect", "pool", "create", self.name, "--type", self.name)

    def declared(self) -> Mapping[str, object]:
        """Give what a declared deployment needs here."""
        return {}

    @abstractmethod
    def alive(self) -> set[str]:
        """Name the flow runs that somebody drives."""

    @abstractmethod
    def kill_driver(self, run: str) -> None:
        """Kill whoever drives a flow run."""

    def left(self) -> list[str]:
        """Name what is left of flow runs that ended."""
        return []


class ProcessPool(Pool):
    """Flow runs and tools are processes."""

    image = None

    def alive(self) -> set[str]:
        return {run for process in psutil.process_iter() if (run := self._run_of(process)) is not None}

    def kill_driver(self, run: str) -> None:
        for process in psutil.process_iter():
            if self._run_of(process) == run:
                with contextlib.suppress(psutil.Error):
                    process.kill()

    def left(self) -> list[str]:
        """Name processes of the home, tools among them, but for the server."""
        server = json.loads((self.home / "server" / "server.json").read_text())["pid"]
        return [
            f"process {process.pid} {' '.join(process.info['cmdline'] or [])[:200]}"
            for process in psutil.process_iter(["cmdline"])
            if process.pid != server and self._is_ours(process)
        ]

    def _is_ours(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error):
            return process.environ().get("CWL_PREFECT_HOME") == str(self.home) or self._runs_here(process)
        return False

    def _runs_here(self, process: psutil.Process) -> bool:
        return process.status() != psutil.STATUS_ZOMBIE and process.cwd().startswith(str(self.home))

    def _run_of(self, process: psutil.Process) -> str | None:
        with contextlib.suppress(psutil.Error):
            found = process.environ()
            return found.get(FLOW_RUN) if found.get("CWL_PREFECT_HOME") == str(self.home) else None
        return None


class DockerPool(Pool):
    """Flow runs and tools are containers, which see the home where this machine has it."""

    def __init__(self, site: Site, name: str, home: Path, flow_image: str) -> None:
        super().__init__(site, name, home)
        self._flow_image = flow_image

    def declared(self) -> Mapping[str, object]:
        self.home.mkdir(exist_ok=True)
        volumes = ["/var/run/docker.sock:/var/run/docker.sock", f"{self.home}:{self.home}"]
        variables = {"volumes": volumes, "env": {"CWL_PREFECT_HOME": str(self.home)}}
        return {"image": self._flow_image, "job_variables": variables}

    def alive(self) -> set[str]:
        form = '{{.Label "io.prefect.flow-run-id"}}'
        return set(_docker("ps", "--filter", "label=io.prefect.flow-run-id", "--format", form).split())

    def kill_driver(self, run: str) -> None:
        for one in containers(f"io.prefect.flow-run-id={run}"):
            with contextlib.suppress(subprocess.CalledProcessError):  # it has ended meanwhile
                _docker("kill", one)

    def left_of(self, runs: Sequence[str]) -> list[str]:
        """Name containers of flow runs."""
        labels = [f"{label}={run}" for run in runs for label in (OF_STEPS, "io.prefect.flow-run-id")]
        return [f"container {one} with {label}" for label in labels for one in containers(label)]


class KubernetesPool(Pool):
    """Flow runs and tools are pods of a namespace, with a directory of this machine as their volume."""

    def __init__(self, site: Site, name: str, home: Path, flow_image: str, namespace: str) -> None:
        super().__init__(site, name, home)
        self._flow_image, self._namespace = flow_image, namespace

    def make(self) -> None:
        pool_on_the_node(self.site, self.name)

    def declared(self) -> Mapping[str, object]:
        return {"image": self._flow_image, "job_variables": variables_in(self._namespace)}

    def alive(self) -> set[str]:
        form = "jsonpath={.items[*].metadata.labels.prefect\\.io/flow-run-id}"
        running = ("--field-selector", "status.phase!=Failed,status.phase!=Succeeded")
        return set(kubectl("get", "pods", "-n", self._namespace, *running, "-o", form).split())

    def kill_driver(self, run: str) -> None:
        chosen = ("-n", self._namespace, "-l", f"prefect.io/flow-run-id={run}")
        kubectl("delete", "pods", *chosen, "--grace-period=0", "--force", "--wait=false")

    def left(self) -> list[str]:
        steps = kubectl("get", "jobs,pods", "-n", self._namespace, "-l", OF_STEPS, "-o", "name").split()
        return [*steps, *(f"flow run {run} is alive in the cluster" for run in self.alive())]


def _docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout
