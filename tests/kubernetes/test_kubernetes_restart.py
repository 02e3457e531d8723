"""A driver that is killed in the middle of a scatter, and the same run again."""

import json
import time
from pathlib import Path

import pytest

from cwl_prefect.backends.kubernetes.api.client import connect
from cwl_prefect.backends.naming import FLOW_RUN_LABEL
from tests.commandline.driving import CommandLine
from tests.waiting import until

pytestmark = [pytest.mark.kubernetes, pytest.mark.server]

WIDTH = 20
WORKFLOW = """
    cwlVersion: v1.2
    class: Workflow
    requirements: {ScatterFeatureRequirement: {}}
    inputs: {numbers: "int[]"}
    outputs: {names: {type: "string[]", outputSource: sleep/name}}
    steps:
      sleep:
        in: {number: numbers}
        out: [name]
        scatter: number
        run:
          class: CommandLineTool
          hints: {DockerRequirement: {dockerPull: "busybox:1.35"}}
          requirements: {ResourceRequirement: {coresMin: 0.01, ramMin: 16, tmpdirMin: 1}}
          inputs: {number: int}
          baseCommand: [sh, -c, "hostname; until [ -e go ]; do sleep 0.2; done"]
          stdout: name
          outputs:
            name: {type: string, outputBinding: {glob: name, loadContents: true, outputEval: "$(self[0].contents)"}}
    """


def let_go(runs: Path, first: int) -> None:
    """Let every second call end: each waits for a file in its directory."""
    for name in sorted(runs.rglob("name"))[first::2]:
        for directory in (name.parent, name.parent.with_name("out")):
            if directory.is_dir():
                (directory / "go").touch()


async def pods_of(run_id: str) -> set[str]:
    api = await connect()
    try:
        pods, _ = await api.pods("default", f"{FLOW_RUN_LABEL}={run_id}")
    finally:
        await api.close()
    return {str(pod["metadata"]["name"]) for pod in pods}  # type: ignore[index,call-overload]


async def test_jobs_of_a_killed_driver_are_adopted_and_none_runs_twice(cluster: None, command: CommandLine) -> None:
    command.write("flow.cwl", WORKFLOW)
    command.write("order.json", json.dumps({"numbers": list(range(WIDTH))}))
    runs = command.directory / "runs"
    driver = command.start("run", "--backend", "kubernetes", "--outdir", command.outdir, "flow.cwl", "order.json")
    until(lambda: len([path for path in runs.rglob("name") if path.stat().st_size]) == WIDTH, 120)
    driver.kill()
    run_id = next(path.parent.name for path in runs.glob("*/run.json"))
    before = await pods_of(run_id)

    resumed = command.start("runs", "resume", run_id)
    let_go(runs, 0)  # some may end before they are adopted
    time.sleep(5)
    let_go(runs, 1)
    ended = resumed.ended()

    names = [str(name).strip() for name in ended.outputs["names"]]  # type: ignore[attr-defined]
    assert len(before) == WIDTH
    assert set(names) == before
    assert "removed" not in ended.stderr  # each ended with its call
    assert await pods_of(run_id) == set()
