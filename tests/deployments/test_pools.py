"""Deploy, start a run through the API, and see real workers bring it to its end."""

import re
import signal
from pathlib import Path

import pytest

from tests.deployments.documents import count
from tests.deployments.site import ENDED, Site, containers

pytestmark = pytest.mark.server

WORKFLOW = """\
cwlVersion: v1.2
class: Workflow
requirements: {InlineJavascriptRequirement: {}}
inputs:
  message: {type: string, label: The message, doc: What to say}
  times: {type: int, default: 2}
outputs:
  said: {type: File, outputSource: say/out}
  letters: {type: int, outputSource: count/letters}
steps:
  say:
    in: {message: message, times: times}
    out: [out]
    run:
      class: CommandLineTool
      inputs: {message: string, times: int}
      baseCommand: [printf, '%s %s']
      arguments: [$(inputs.message), $(inputs.times)]
      stdout: said.txt
      outputs: {out: stdout}
""" + count("say/out")
SLEEPER = """\
cwlVersion: v1.2
class: CommandLineTool
requirements: {DockerRequirement: {dockerPull: busybox}}
inputs: {seconds: int}
baseCommand: [sh, -c]
arguments: ['sleep "$0"; hostname > said', $(inputs.seconds)]
outputs: {said: {type: File, outputBinding: {glob: said}}}
"""


def test_a_deployed_workflow_runs_where_only_the_package_is(site: Site) -> None:
    deployment = site.deploy(WORKFLOW)
    (site.directory / "workflow.cwl").unlink()

    run = site.start(deployment, message="hello").json()["id"]

    assert site.until(run, *ENDED) == "COMPLETED"
    assert site.outputs(run)["letters"] == len("hello 2")


def test_a_wrong_parameter_is_refused_with_its_name(site: Site) -> None:
    answer = site.start(site.deploy(WORKFLOW), message="hello", times="many")

    assert answer.status_code in (409, 422)
    assert "times" in answer.text


def test_deploying_again_updates_it_and_keeps_its_schedule(site: Site) -> None:
    value = ("--param", "message=Morning")
    first = site.deploy(WORKFLOW, "--cron", "0 6 * * *", *value)
    before = site.get(f"deployments/{first}")

    second = site.deploy(WORKFLOW.replace("'%s %s'", "'%s-%s'"), "--tag", "new", *value)

    after = site.get(f"deployments/{second}")
    assert first == second
    assert before["version"] != after["version"]
    assert after["tags"] == ["new", "cwl-prefect"]
    assert [each["schedule"]["cron"] for each in after["schedules"]] == ["0 6 * * *"]


def test_a_schedule_is_refused_whose_runs_would_lack_an_input(site: Site) -> None:
    (site.directory / "workflow.cwl").write_text(WORKFLOW)
    options = ("workflow.cwl", "--pool", "here", "--name", "lacking")

    said = site.run("cwl-prefect", "deploy", *options, "--interval", "1h", code=11)

    assert "runs that a schedule starts have no value for message" in said


def test_inputs_by_reference_are_read_by_the_worker(site: Site) -> None:
    (site.directory / "order.yml").write_text("message: from the file\ntimes: 3\n")
    deployment = site.deploy(WORKFLOW, "--name", "referred", "--inputs-file", "order.yml")

    run = site.start(deployment, times=40).json()["id"]

    assert site.until(run, *ENDED) == "COMPLETED"
    assert site.outputs(run)["letters"] == len("from the file 40")


@pytest.mark.docker
def test_steps_run_in_containers_of_a_docker_pool_s_template(site: Site) -> None:
    site.run("cwl-prefect", "pool", "create", "containers", "--type", "docker")
    pool = site.get("work_pools/containers")
    template = pool["base_job_template"]
    template["variables"]["properties"]["container_create_kwargs"]["default"] = {"hostname": "from-the-pool"}
    site.send("PATCH", "work_pools/containers", {"base_job_template": template}).raise_for_status()
    deployment = site.deploy(
        SLEEPER, "--name", "mixed", "--job-variable", 'env={"CWL_PREFECT_STEPS_POOL": "containers"}'
    )

    run = site.start(deployment, seconds=0).json()["id"]

    assert site.until(run, *ENDED) == "COMPLETED"
    said = site.outputs(run)["said"]
    assert Path(said["path"]).read_text().strip() == "from-the-pool"


@pytest.mark.docker
def test_cancelling_removes_containers(site: Site) -> None:
    run = site.start(site.deploy(SLEEPER, "--name", "sleeper"), seconds=300).json()["id"]
    label = f"cwl-prefect.io/flow-run-id={run}"
    site.wait_for(lambda: containers(label))

    site.run("prefect", "flow-run", "cancel", run)

    assert site.until(run, "CANCELLED", timeout_s=90) == "CANCELLED"
    assert containers(label) == []


def test_serving_needs_no_pool(site: Site) -> None:
    (site.directory / "workflow.cwl").write_text(WORKFLOW)
    log = site.directory / "serve.log"
    more = {"PYTHONUNBUFFERED": "1", "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    with site.running("cwl-prefect", "serve", "workflow.cwl", log=log, more=more, end=signal.SIGINT):
        site.wait_for(lambda: "stop serving" in log.read_text())
        found = re.search(r"deployment/([0-9a-f-]{36})/run", log.read_text())
        assert found
        run = site.start(found[1], message="served").json()["id"]
        assert site.until(run, *ENDED) == "COMPLETED"
        assert site.outputs(run)["letters"] == len("served 2")
