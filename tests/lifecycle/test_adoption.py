"""A driver is killed while containers run; the next driver of the same run takes them over."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from cwl_prefect.backends.naming import FLOW_RUN_LABEL
from tests.commandline.driving import CommandLine
from tests.waiting import until

pytestmark = [pytest.mark.docker, pytest.mark.server]

WIDTH = 20
SCATTER = """
    cwlVersion: v1.2
    class: Workflow
    requirements: {ScatterFeatureRequirement: {}}
    inputs: {n: "int[]"}
    outputs: {o: {type: "File[]", outputSource: s/o}}
    steps:
      s:
        in: {n: n}
        out: [o]
        scatter: n
        run:
          class: CommandLineTool
          requirements:
            DockerRequirement: {dockerPull: "busybox:1.35"}
            ResourceRequirement: {coresMin: 0.05, ramMin: 8}
          baseCommand: [sh, -c, 'echo begun $0; sleep 6; echo ended $0; echo told >&2']
          inputs: {n: {type: int, inputBinding: {}}}
          outputs: {o: {type: stdout}}
          stdout: out.txt
    """

SLOW = """
    cwlVersion: v1.2
    class: CommandLineTool
    requirements:
      DockerRequirement: {dockerPull: "busybox:1.35"}
      ResourceRequirement: {coresMin: 0.05, ramMin: 8}
    baseCommand: [sh, -c, 'echo begun; sleep 8; echo ended']
    inputs: {}
    outputs: {o: {type: stdout}}
    stdout: out.txt
    """


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


@contextlib.contextmanager
def starts(client: docker.DockerClient) -> Iterator[list[tuple[str, str]]]:
    """Collect the run and the name of every container that is started meanwhile."""
    seen: list[tuple[str, str]] = []
    stream = client.events(decode=True, filters={"type": "container", "event": "start", "label": FLOW_RUN_LABEL})

    def watch() -> None:
        for event in stream:
            attributes = event["Actor"]["Attributes"]
            seen.append((attributes[FLOW_RUN_LABEL], attributes["name"]))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    yield seen
    time.sleep(0.5)
    stream.close()
    thread.join(5)


def containers(client: docker.DockerClient, run_id: str) -> int:
    return len(client.api.containers(all=True, filters={"label": f"{FLOW_RUN_LABEL}={run_id}"}))


def runs_of(home: Path) -> list[str]:
    return [path.parent.name for path in (home / "runs").glob("*/run.json")]


def test_containers_of_a_killed_driver_are_adopted_and_none_runs_twice(
    command: CommandLine, client: docker.DockerClient
) -> None:
    workflow = command.write("scatter.cwl", SCATTER)
    order = command.write("order.json", json.dumps({"n": list(range(WIDTH))}))
    with starts(client) as started:
        driver = command.start("run", "--backend", "docker", "--outdir", command.outdir, workflow, order)
        until(lambda: runs_of(command.home), 60)
        (run_id,) = runs_of(command.home)
        until(lambda: containers(client, run_id) >= WIDTH - 5, 60, pause_s=0.1)
        driver.kill()
        resumed = command("runs", "resume", run_id[:8])
    outputs = resumed.outputs["o"]
    assert [Path(one["path"]).read_text() for one in outputs] == [f"begun {n}\nended {n}\n" for n in range(WIDTH)]
    names = [name for run, name in started if run == run_id]
    assert len(names) == len(set(names)) == WIDTH
    assert containers(client, run_id) == 0
    assert not (command.home / "runs" / run_id).exists()
    again = command("runs", "resume", run_id)
    assert again.code == 11
    assert "cannot be resumed: it is Completed" in again.stderr


def test_a_container_that_was_stopped_after_its_driver_runs_again(
    command: CommandLine, client: docker.DockerClient
) -> None:
    driver = command.start("run", "--backend", "docker", "--outdir", command.outdir, command.write("slow.cwl", SLOW))
    until(lambda: runs_of(command.home), 120)
    (run_id,) = runs_of(command.home)
    label = f"{FLOW_RUN_LABEL}={run_id}"
    until(lambda: client.containers.list(filters={"label": label}), 60, pause_s=0.1)
    driver.kill()
    (container,) = client.containers.list(filters={"label": label})
    container.stop(timeout=1)
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 137
    resumed = command("runs", "resume", run_id[:8])
    assert Path(resumed.outputs["o"]["path"]).read_text() == "begun\nended\n"
    assert containers(client, run_id) == 0
