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


def test_deploying_again_keeps_what_was_set_here_or_in_the_ui_until_it_is_reset(site: Site) -> None:
    options = ("--name", "kept", "--cron", "0 6 * * *", "--cron", "0 18 * * *", "--timezone", "Europe/Berlin")
    values = ("--param", "message=Morning", "--param", "times=3", "--tag", "daily")
    limits = ("--concurrency-limit", "2", "--collision-strategy", "CANCEL_NEW", "--queue", "urgent", "--priority", "1")
    deployment = site.deploy(WORKFLOW, *options, *values, *limits)
    in_the_ui = {"parameters": {"message": "Evening", "times": 3}, "job_variables": {"env": {"A": "1"}}}
    site.send("PATCH", f"deployments/{deployment}", in_the_ui).raise_for_status()

    site.deploy(WORKFLOW.replace("'%s %s'", "'%s-%s'"), "--name", "kept")

    after = site.get(f"deployments/{deployment}")
    schedules = {(each["schedule"]["cron"], each["schedule"]["timezone"]) for each in after["schedules"]}
    assert schedules == {("0 6 * * *", "Europe/Berlin"), ("0 18 * * *", "Europe/Berlin")}
    assert (after["parameters"], after["job_variables"]) == ({"message": "Evening", "times": 3}, {"env": {"A": "1"}})
    assert after["tags"] == ["daily", "cwl-prefect"]
    assert after["global_concurrency_limit"]["limit"] == 2
    assert after["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert after["work_queue_name"] == "urgent"
    assert site.get("work_pools/here/queues/urgent")["priority"] == 1

    site.deploy(WORKFLOW, "--name", "kept", "--reset")

    after = site.get(f"deployments/{deployment}")
    assert (after["schedules"], after["parameters"], after["job_variables"]) == ([], {}, {})
    assert (after["tags"], after["global_concurrency_limit"]) == (["cwl-prefect"], None)
    assert after["work_queue_name"] == "default"


def test_a_deployment_is_not_taken_away_from_another_pool_in_silence(site: Site) -> None:
    site.run("cwl-prefect", "pool", "create", "elsewhere", "--type", "process", "--keep")
    deployment = site.deploy(WORKFLOW, "--name", "moved")
    options = ("deploy", "workflow.cwl", "--name", "moved", "--pool", "elsewhere")

    said = site.run("cwl-prefect", *options, code=2)

    assert "already, in the work pool here" in said
    assert "--move" in said
    site.run("cwl-prefect", *options, "--move")
    assert site.get(f"deployments/{deployment}")["work_pool_name"] == "elsewhere"


def test_a_file_declares_many_deployments_and_removes_what_it_does_not_declare_any_more(site: Site) -> None:
    (site.directory / "said.cwl").write_text(WORKFLOW)
    entry = "- {document: said.cwl, pool: here, name: NAME, parameters: {message: hi}, cron: '0 6 * * *'}\n"
    file = site.directory / "declared.yaml"
    file.write_text("group: lab\ndeployments:\n" + entry.replace("NAME", "one") + entry.replace("NAME", "two"))
    declare = ("cwl-prefect", "deploy", "--from", "declared.yaml")

    assert "+ said/one: new" in site.run(*declare, "--dry-run")
    assert site.send("GET", "deployments/name/said/one", None).status_code == 404
    assert site.run(*declare).splitlines() == ["+ said/one: new", "+ said/two: new"]
    assert site.run(*declare).splitlines() == ["= said/one: unchanged", "= said/two: unchanged"]

    file.write_text("group: lab\ndeployments:\n" + entry.replace("NAME", "one").replace("hi", "ho"))
    said = site.run(*declare, "--prune").splitlines()
    assert said == ["~ said/one: values of the form", "- said/two: removed"]
    assert site.get("deployments/name/said/one")["parameters"] == {"message": "ho"}
    assert site.send("GET", "deployments/name/said/two", None).status_code == 404


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
