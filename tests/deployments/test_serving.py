"""`serve`: a workflow without a work pool, until a signal."""

import signal

import pytest

from tests.deployments.site import Site

pytestmark = pytest.mark.server

SLEEP = """\
cwlVersion: v1.2
class: CommandLineTool
inputs: {seconds: {type: int, default: 60, inputBinding: {}}}
baseCommand: sleep
outputs: []
"""


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_served_deployment_is_paused_at_the_end_and_its_runs_are_cancelled(site: Site, end: signal.Signals) -> None:
    (site.directory / "sleep.cwl").write_text(SLEEP)
    log = site.directory / f"serve-{end.name}.log"
    options = ("sleep.cwl", "--name", end.name, "--interval", "1h")
    with site.running(
        "cwl-prefect", "serve", *options, log=log, more={"PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    ) as process:
        site.wait_for(lambda: "stop serving" in log.read_text())
        deployment = site.get(f"deployments/name/sleep/{end.name}")
        assert not deployment["paused"]
        run = site.start(deployment["id"]).json()["id"]
        site.until(run, "RUNNING")

        process.send_signal(end)
        assert process.wait(60) == 0

    said = log.read_text()
    assert f"Stopped serving sleep/{end.name}; it is paused until it is served again." in said
    assert "RuntimeWarning" not in said
    assert site.state(run) == "CANCELLED"
    assert site.get(f"deployments/{deployment['id']}")["paused"]
    assert site.states_of(deployment["id"]) == ["CANCELLED"]


def test_a_served_deployment_that_was_paused_at_the_end_is_active_when_it_is_served_again(site: Site) -> None:
    (site.directory / "sleep.cwl").write_text(SLEEP)
    for turn in (1, 2):
        log = site.directory / f"serve-{turn}.log"
        with site.running("cwl-prefect", "serve", "sleep.cwl", "--name", "again", log=log, more={}) as process:
            site.wait_for(lambda log=log: "stop serving" in log.read_text())
            assert not site.get("deployments/name/sleep/again")["paused"]
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        assert site.get("deployments/name/sleep/again")["paused"]
