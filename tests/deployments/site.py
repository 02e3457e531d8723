"""A Prefect server with a process pool and a worker, used as a user does."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.commands import BIN, command_environment


class Site:
    """A Prefect server of its own, a process pool and a worker, used as a user does."""

    def __init__(self, environment: dict[str, str], directory: Path) -> None:
        self.environment = environment
        self.directory = directory
        self.run("cwl-prefect", "server", "start")
        state = json.loads(next((directory / "cwl-prefect" / "server").glob("*.json")).read_text())
        self.api = f"http://{state['host']}:{state['port']}/api"
        self.environment["PREFECT_API_URL"] = self.api

    def run(self, command: str, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [BIN / command, *arguments],
            env=self.environment,
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def deploy(self, document: str, *options: str) -> str:
        """Give the deployment's identifier."""
        (self.directory / "workflow.cwl").write_text(document)
        said = self.run("cwl-prefect", "deploy", "workflow.cwl", "--pool", "here", *options)
        found = re.search(r"deployment/([0-9a-f-]{36})/run", said)
        assert found, said
        return found[1]

    def start(self, deployment: str, **parameters: object) -> httpx.Response:
        path = f"{self.api}/deployments/{deployment}/create_flow_run"
        return httpx.post(path, json={"parameters": parameters}, timeout=60)

    def state(self, run: str) -> str:
        return httpx.get(f"{self.api}/flow_runs/{run}", timeout=60).json()["state"]["type"]

    def until(self, run: str, *states: str, timeout_s: float = 120) -> str:
        deadline = time.monotonic() + timeout_s
        while (state := self.state(run)) not in states:
            assert time.monotonic() < deadline, f"{state} instead of {states}"
            time.sleep(0.3)
        return state

    def outputs(self, run: str) -> dict:
        return json.loads((self.directory / "cwl-prefect/outputs" / run / "cwl-prefect-outputs.json").read_text())

    def task_states(self, run: str) -> list[str]:
        """Give the states of a run's task runs."""
        asked = {"flow_runs": {"id": {"any_": [run]}}}
        found = httpx.post(f"{self.api}/task_runs/filter", json=asked, timeout=60).json()
        return [each["state"]["type"] for each in found]


def worker_site(directory: Path) -> Iterator[Site]:
    """Give a site whose worker is stopped afterwards."""
    for environment in command_environment(directory):
        made = Site(environment, directory)
        made.run("cwl-prefect", "pool", "create", "here", "--type", "process")
        with (directory / "worker.log").open("wb") as log:
            worker = subprocess.Popen(
                [BIN / "prefect", "worker", "start", "--pool", "here"],
                env=made.environment | {"PREFECT_WORKER_QUERY_SECONDS": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        yield made
        worker.send_signal(signal.SIGTERM)
        try:
            worker.wait(30)
        except subprocess.TimeoutExpired:
            worker.kill()


def containers(label: str) -> list[str]:
    listed = subprocess.run(["docker", "ps", "-aq", "--filter", f"label={label}"], capture_output=True, check=True)
    return listed.stdout.decode().split()
