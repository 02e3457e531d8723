"""Cancel a run with many containers in the Prefect UI, as a person does."""

import time

import pytest
from playwright.sync_api import Page, expect

from tests.deployments.browser import picture
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
GONE_S = 60  # of the 300 that each would take


def cancel(page: Page) -> float:
    """Click what cancels the run that the page shows, and tell when; again where SQLite was busy with another write."""
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_text("Cancel Flow Run", exact=True)).to_be_visible()
    picture(page, "cancel-question")
    for _ in range(5):
        clicked = time.monotonic()
        with page.expect_response("**/set_state") as answer:
            page.get_by_role("button", name="Confirm", exact=True).click()
        if answer.value.status != 503:
            break
    assert answer.value.ok, answer.value.text()
    return clicked


def test_all_containers_are_gone_and_the_states_are_right(site: Site, page: Page) -> None:
    run = site.start(site.deploy(WORKFLOW, "--name", "sleepers")).json()["id"]
    label = f"cwl-prefect.io/flow-run-id={run}"
    deadline = time.monotonic() + 120
    while len(containers(label)) < COUNT:
        assert time.monotonic() < deadline, site.state(run)
        time.sleep(0.3)

    site.show(page, f"runs/flow-run/{run}")
    expect(page.get_by_text("Running").first).to_be_visible()
    picture(page, "cancel-running")
    began = cancel(page)
    while containers(label):
        assert time.monotonic() < began + GONE_S
        time.sleep(0.1)
    gone_s = time.monotonic() - began

    assert site.until(run, "CANCELLED", "CRASHED", "FAILED", timeout_s=90) == "CANCELLED"
    print(f"{COUNT} containers gone after {gone_s:.1f} s, run Cancelled after {time.monotonic() - began:.1f} s")
    deadline = time.monotonic() + 30
    while (states := site.task_states(run)) != ["CANCELLED"] * COUNT:  # the server records them in its own time
        assert time.monotonic() < deadline, states
        time.sleep(0.3)
    assert containers(label) == []
    expect(page.get_by_text("Cancelled", exact=True).first).to_be_visible()
    picture(page, "cancel-cancelled")
