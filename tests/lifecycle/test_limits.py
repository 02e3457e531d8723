"""Runs that share a limit of the Prefect server: they never hold more of it than there is, and leave none taken."""

import signal

import pytest

from tests.commandline.driving import CommandLine, Started
from tests.prefect_api import local_api, matching, post, read
from tests.waiting import until

pytestmark = pytest.mark.server

WORKFLOW = """
    cwlVersion: v1.2
    class: Workflow
    $namespaces: {cwl-prefect: "https://cwl-prefect.io/ns#"}
    requirements: {ScatterFeatureRequirement: {}}
    inputs: {n: "int[]", seconds: string, held: string}
    outputs: {o: {type: "File[]", outputSource: s/o}}
    steps:
      s:
        in: {n: n, seconds: seconds, held: held}
        out: [o]
        scatter: n
        run:
          class: CommandLineTool
          hints:
          - class: cwl-prefect:Concurrency
            limits: {licences: 1}
          - {class: ResourceRequirement, coresMin: 0.05, ramMin: 8}
          baseCommand: [sh, -c, 'mkdir "$0" && sleep "$1" && rmdir "$0"']
          inputs:
            held: {type: string, inputBinding: {position: 1}}
            seconds: {type: string, inputBinding: {position: 2}}
            n: int
          outputs: {o: {type: stdout}}
          stdout: out.txt
    """


def test_runs_share_the_slots_of_a_limit_and_leave_none_taken_when_they_are_stopped(command: CommandLine) -> None:
    workflow = command.write("limited.cwl", WORKFLOW)
    held = command.directory / "held"

    def start(seconds: str) -> Started:
        inputs = ("--n", "1", "--n", "2", "--held", str(held), "--seconds", seconds)
        return command.start("run", "--no-cache", "--outdir", command.outdir, workflow, *inputs)

    command("server", "start")
    api = local_api(command.home)
    post(f"{api}/v2/concurrency_limits/", {"name": "licences", "limit": 1})
    holding = start("60.71")
    until(held.exists, timeout_s=120)
    waiting = start("0.1")
    until(lambda: len(matching(api, "flow_runs", flow_runs={"state": {"type": {"any_": ["RUNNING"]}}})) == 2, 120)
    assert read(f"{api}/v2/concurrency_limits/licences")["active_slots"] == 1

    held.rmdir()  # which the call that is stopped would have done
    holding.signal(signal.SIGINT)

    assert holding.ended().code == 130
    assert waiting.ended().code == 0  # a call that began while another held the slot would have found its directory
    assert read(f"{api}/v2/concurrency_limits/licences")["active_slots"] == 0


def test_runs_share_the_cores_of_the_machine_and_one_that_is_killed_holds_none(command: CommandLine) -> None:
    alone = WORKFLOW.replace("coresMin: 0.05", "coresMin: 1000")  # which gets all that there are
    workflow = command.write("alone.cwl", alone.replace("limits: {licences: 1}", "limits: {}"))
    held = command.directory / "held"
    command("server", "start")
    api = local_api(command.home)

    def start(seconds: str, *options: str) -> Started:
        inputs = ("--n", "1", "--n", "2", "--held", str(held), "--seconds", seconds)
        return command.start("run", "--no-cache", *options, "--outdir", command.outdir, workflow, *inputs)

    holding = start("60.72")
    until(held.exists, timeout_s=120)
    waiting = start("0.1")
    running = {"state": {"type": {"any_": ["RUNNING"]}}}
    until(lambda: len(matching(api, "flow_runs", flow_runs=running)) == 2, 120)

    held.rmdir()  # which the call of the driver that is killed would have done
    holding.signal(signal.SIGKILL)
    assert waiting.ended().code == 0
