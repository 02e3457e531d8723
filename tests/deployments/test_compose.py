"""The compose file as a user brings it up: Prefect on PostgreSQL, and a Docker worker."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import PROJECT, command_environment
from tests.conftest import missing_engine
from tests.deployments.site import ENDED, Site, containers
from tests.waiting import until

pytestmark = [pytest.mark.server, pytest.mark.docker]

PASSWORD = "p@ss/w:rd#1"
# Another home than the usual one of this machine.
OVERRIDE = """\
services:
  worker:
    environment: {CWL_PREFECT_HOME: SITE/cwl-prefect}
    volumes: !override ["/var/run/docker.sock:/var/run/docker.sock", "SITE:SITE"]
"""
WITH_A_FILE = """\
cwlVersion: v1.2
class: CommandLineTool
requirements: {DockerRequirement: {dockerPull: busybox}}
inputs:
  message: string
  program: {type: File, default: {class: File, location: program.sh}}
baseCommand: sh
arguments: [$(inputs.program.path), $(inputs.message)]
stdout: said
outputs: {said: stdout}
"""
TWO_STEPS = """\
cwlVersion: v1.2
class: Workflow
requirements: {DockerRequirement: {dockerPull: busybox}}
inputs: {seconds: int}
outputs: {hosts: {type: File, outputSource: second/o}}
steps:
  first: {run: STEP, in: {seconds: {default: 0}}, out: [o]}
  second: {run: STEP, in: {seconds: seconds, before: first/o}, out: [o]}
"""
STEP = """{class: CommandLineTool, inputs: {seconds: int, before: File?}, outputs: {o: stdout}, stdout: o,
    baseCommand: [sh, -c], arguments: ['sleep "$0"; hostname', $(inputs.seconds)]}"""


class Stack(Site):
    """The services of the compose file, under a name, at a port and with a home of their own."""

    def __init__(self, environment: dict[str, str], directory: Path, image: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.directory = directory
        self.api = f"http://127.0.0.1:{port}/api"
        self.environment = environment | {
            "PREFECT_API_URL": self.api,
            "PREFECT_PORT": str(port),
            "POSTGRES_PASSWORD": PASSWORD,
            "CWL_PREFECT_IMAGE": image,
        }
        self.project = f"cwl-prefect-test-{port}"
        (directory / "override.yml").write_text(OVERRIDE.replace("SITE", str(directory)))

    def compose(self, *arguments: str) -> str:
        files = ("--file", str(PROJECT / "deployments/docker-compose.yml"), "--file", "override.yml")
        done = subprocess.run(
            ["docker", "compose", "--project-name", self.project, *files, *arguments],
            env=self.environment | {"HOME": os.environ["HOME"]},  # docker's plugins may be there
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def services(self) -> list[str]:
        """Containers of its services."""
        return containers(f"com.docker.compose.project={self.project}")

    def ask_database(self, query: str) -> str:
        command = ("psql", "--username=prefect", "--no-align", "--tuples-only", "--command", query)
        return self.compose("exec", "--no-TTY", "database", *command).strip()

    def deploy_here(self, document: str, name: str) -> str:
        """Deploy for containers that see this directory where the host has it."""
        volumes = ["/var/run/docker.sock:/var/run/docker.sock", f"{self.directory}:{self.directory}"]
        return self.deploy(
            document,
            *("--name", name, "--image", self.environment["CWL_PREFECT_IMAGE"]),
            *("--job-variable", f"volumes={json.dumps(volumes)}"),
            *("--job-variable", f"env={json.dumps({'CWL_PREFECT_HOME': str(self.directory / 'cwl-prefect')})}"),
            pool="docker",
        )


@pytest.fixture(scope="module")
def stack(built_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The services, up as they are on first start."""
    for command, lack in (
        (("docker", "compose", "version"), "Docker Compose 2 is not installed"),
        (("docker", "image", "inspect", "postgres:16"), "the image postgres:16 is not there"),
    ):
        if subprocess.run(command, capture_output=True, check=False).returncode:
            missing_engine(lack)
    directory = tmp_path_factory.mktemp("stack")
    for environment in command_environment(directory):
        made = Stack(environment, directory, built_image)
        try:
            made.compose("up", "--detach")
            yield made
        finally:
            made.compose("down", "--volumes", "--timeout", "2")


def test_a_workflow_runs_with_its_file_and_without_secrets_and_is_recorded_in_postgresql(stack: Stack) -> None:
    (stack.directory / "program.sh").write_text('echo "$1"; env\n')
    deployment = stack.deploy_here(WITH_A_FILE, "carried")
    (stack.directory / "program.sh").unlink()

    run = stack.start(deployment, message="grüße").json()["id"]

    assert stack.until(run, *ENDED) == "COMPLETED", stack.log_of(run)
    said = Path(stack.outputs(run)["said"]["path"]).read_text()
    assert said.startswith("grüße\n")
    assert "PREFECT" not in said
    assert PASSWORD not in said
    assert stack.ask_database(f"select state_type from flow_run where id = '{run}'") == "COMPLETED"


def test_what_was_killed_with_the_worker_is_resumed_after_all_services_were_down(stack: Stack) -> None:
    pool = stack.get("work_pools/docker")["base_job_template"]
    pool["variables"]["properties"]["mem_limit"]["default"] = "4g"
    stack.send("PATCH", "work_pools/docker", {"base_job_template": pool}).raise_for_status()
    run = stack.start(stack.deploy_here(TWO_STEPS.replace("STEP", STEP), "killed"), seconds=15).json()["id"]
    label = f"cwl-prefect.io/flow-run-id={run}"
    stack.wait_for(lambda: "COMPLETED" in stack.task_states(run) and containers(label))
    step = containers(label)
    driver = containers(f"io.prefect.flow-run-id={run}")
    subprocess.run(["docker", "kill", stack.compose("ps", "--quiet", "worker").strip(), *driver], check=True)

    stack.compose("down", "--timeout", "2")
    assert stack.services == []
    stack.compose("up", "--detach")
    assert stack.get("work_pools/docker")["base_job_template"] == pool
    inside = ("exec", "--no-TTY", "worker", "cwl-prefect", "runs")
    assert "Killed" in stack.compose(*inside, "ls")
    stack.compose(*inside, "resume", run)

    assert stack.until(run, *ENDED) == "COMPLETED", stack.log_of(run)
    assert [Path(stack.outputs(run)["hosts"]["path"]).read_text().strip()] == step
    until(lambda: not containers(label))
