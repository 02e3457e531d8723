"""Cancel a run with many containers from the Prefect API, as the UI does."""

import time

import httpx
import pytest

from tests.deployments.site import Site, containers

pytestmark = [pytest.mark.server, pytest.mark.docker]

COUNT = 20  # calls that differ, since identical ones at once run once
WORKFLOW = f"""\
cwlVersion: v1.2
class: Workflow
requirements: {{ScatterFeatureRequirement: {{}}}}
inputs: {{seconds: {{type: "int[]", default: {[300 + number for number in range(COUNT)]}}}}}
outputs: {{}}
steps:
  sleep:
    scatter: seconds
    in: {{seconds: seconds}}
    out: []
    run:
      class: CommandLineTool
      requirements:
        DockerRequirement: {{dockerPull: busybox}}
        ResourceRequirement: {{coresMin: 0.05, ramMin: 16}}
      inputs: {{seconds: int}}
      outputs: []
      baseCommand: sleep
      arguments: [$(inputs.seconds)]
"""
GONE_S = 5.0


def test_all_containers_are_gone_within_seconds_and_the_states_are_right(site: Site) -> None:
    run = site.start(site.deploy(WORKFLOW, "--name", "sleepers")).json()["id"]
    label = f"cwl-prefect.io/flow-run-id={run}"
    deadline = time.monotonic() + 120
    while len(containers(label)) < COUNT:
        assert time.monotonic() < deadline, site.state(run)
        time.sleep(0.3)

    began = time.monotonic()
    cancelling = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    httpx.post(f"{site.api}/flow_runs/{run}/set_state", json=cancelling, timeout=60).raise_for_status()
    while containers(label):
        assert time.monotonic() < began + 60
        time.sleep(0.1)
    gone_s = time.monotonic() - began

    assert site.until(run, "CANCELLED", "CRASHED", "FAILED", timeout_s=90) == "CANCELLED"
    print(f"{COUNT} containers gone after {gone_s:.1f} s, run Cancelled after {time.monotonic() - began:.1f} s")
    assert gone_s <= GONE_S
    deadline = time.monotonic() + 30
    while (states := site.task_states(run)) != ["CANCELLED"] * COUNT:  # the server records them in its own time
        assert time.monotonic() < deadline, states
        time.sleep(0.3)
    assert containers(label) == []
