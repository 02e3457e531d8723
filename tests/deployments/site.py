"""A Prefect server with work pools and real workers, as a user has them."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page

from tests.commands import BIN
from tests.prefect_api import ask, local_api, matching, prefect_environment, read
from tests.waiting import until

ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


class Site:
    """A Prefect server of its own, a process pool and a worker, used as a user does."""

    def __init__(self, environment: dict[str, str], directory: Path) -> None:
        self.environment = environment
        self.directory = directory
        self.run("cwl-prefect", "server", "start")
        self.api = local_api(directory / "cwl-prefect")
        self.prefect = prefect_environment(directory / "cwl-prefect")
        self.environment |= self.prefect

    @property
    def root(self) -> str:
        """Address of the user interface."""
        return self.prefect["PREFECT_API_URL"].removesuffix("/api")

    def show(self, page: Page, path: str) -> None:
        """Open a page of the user interface logged in, as the address that a run prints does."""
        secret = self.prefect["PREFECT_API_AUTH_STRING"].partition(":")[2]
        page.goto(f"{self.root}/open/{path}#{secret}")

    def run(self, command: str, *arguments: str, code: int = 0) -> str:
        done = self.run_anyhow(command, *arguments, cwd=self.directory)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def run_anyhow(self, command: str, *arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
        """Run a command, however it ends."""
        return subprocess.run(
            [BIN / command, *arguments],
            env=self.environment | {"PWD": str(cwd)},
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @contextmanager
    def running(
        self, command: str, *arguments: str, log: Path, more: Mapping[str, str], end: signal.Signals = signal.SIGTERM
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """Have a command that runs until a signal ends it."""
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [BIN / command, *arguments],
                env=self.environment | more,
                cwd=self.directory,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        try:
            yield process
        finally:
            process.send_signal(end)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @contextmanager
    def worker(self, pool: str, more: Mapping[str, str] | None = None) -> Iterator["subprocess.Popen[bytes]"]:
        """Have a worker of a pool, perhaps with more in its environment."""
        log, more = self.directory / f"worker-{pool}.log", {"PREFECT_WORKER_QUERY_SECONDS": "1", **(more or {})}
        with self.running("prefect", "worker", "start", "--pool", pool, log=log, more=more) as process:
            yield process

    def deploy(self, document: str, *options: str, pool: str = "here") -> str:
        """Give the deployment's identifier; it is named after its pool, if not otherwise."""
        (self.directory / "workflow.cwl").write_text(document)
        named = options if "--name" in options else ("--name", pool, *options)
        said = self.run("cwl-prefect", "deploy", "workflow.cwl", "--pool", pool, *named)
        found = re.search(r"deployment/([0-9a-f-]{36})/run", said)
        assert found, said
        return found[1]

    def get(self, path: str) -> Any:
        """Read something from the API."""
        return read(f"{self.api}/{path}")

    def send(self, method: str, path: str, content: object) -> httpx.Response:
        """Send something to the API."""
        return ask(method, f"{self.api}/{path}", content)

    def start(self, deployment: str, **parameters: object) -> httpx.Response:
        return self.send("POST", f"deployments/{deployment}/create_flow_run", {"parameters": parameters})

    def state(self, run: str) -> str:
        return self.get(f"flow_runs/{run}")["state"]["type"]

    def only_run(self, deployment: str, *, timeout_s: float = 30) -> str:
        """Wait until a deployment has a run, and give its identifier."""
        deadline = time.monotonic() + timeout_s
        chosen = {"id": {"any_": [deployment]}}
        while not (found := matching(self.api, "flow_runs", deployments=chosen)):
            assert time.monotonic() < deadline, "there is no run"
            time.sleep(0.3)
        assert len(found) == 1
        return found[0]["id"]

    def states_of(self, deployment: str) -> list[str]:
        """Give the states of a deployment's runs."""
        found = matching(self.api, "flow_runs", deployments={"id": {"any_": [deployment]}})
        return [run["state"]["type"] for run in found]

    def until(self, run: str, *states: str, timeout_s: float = 120) -> str:
        deadline = time.monotonic() + timeout_s
        while (state := self.state(run)) not in states:
            assert time.monotonic() < deadline, f"{state} instead of {states}"
            time.sleep(0.3)
        return state

    def wait_for(self, condition: Callable[[], object], *, timeout_s: float = 60) -> None:
        """Wait until something holds."""
        until(condition, timeout_s, pause_s=0.3)

    def log_of(self, run: str) -> str:
        """Give what a run told, for a failed test."""
        return "\n".join(line["message"] for line in matching(self.api, "logs", logs={"flow_run_id": {"any_": [run]}}))

    def outputs(self, run: str) -> dict:
        return json.loads((self.directory / "cwl-prefect/outputs" / run / "cwl-prefect-outputs.json").read_text())

    def task_states(self, run: str) -> list[str]:
        """Give the states of a run's task runs."""
        found = matching(self.api, "task_runs", flow_runs={"id": {"any_": [run]}})
        return [each["state"]["type"] for each in found]


def containers(label: str) -> list[str]:
    listed = subprocess.run(["docker", "ps", "-aq", "--filter", f"label={label}"], capture_output=True, check=True)
    return listed.stdout.decode().split()
