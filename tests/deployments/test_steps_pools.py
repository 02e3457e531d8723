"""Pools of every kind, made by this package and by Prefect, as runs, `explain-job` and `doctor` see them."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cwl_prefect.backends.job_template.job_variables import packaged_template
from tests.commands import BIN
from tests.deployments.site import Site

pytestmark = pytest.mark.server

TOOL = """\
cwlVersion: v1.2
class: CommandLineTool
id: say
hints: {DockerRequirement: {dockerPull: "busybox:1.35"}}
inputs: {}
baseCommand: [sh, -c, 'echo "$HOSTNAME $SITE $PREFECT_API_URL $PREFECT_API_KEY"; cat /opt/licence']
stdout: said
outputs: {said: stdout}
"""


def output_of(site: Site, *arguments: str) -> Any:
    """Run a command and give what it prints on the standard output, as JSON."""
    done = subprocess.run(
        [BIN / "cwl-prefect", *arguments],
        env=site.environment,
        cwd=site.directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", ["docker", "kubernetes", "process"])
def test_a_pool_of_each_kind_has_the_packaged_template(site: Site, kind: str) -> None:
    site.run("cwl-prefect", "pool", "create", f"made-{kind}", "--type", kind)
    pool = site.get(f"work_pools/made-{kind}")
    assert (pool["type"], pool["base_job_template"]) == (kind, packaged_template(kind))


@pytest.mark.docker
def test_steps_run_on_a_pool_that_prefect_made_with_what_the_platform_added(site: Site) -> None:
    site.run("prefect", "work-pool", "create", "plain", "--type", "docker")
    template = site.get("work_pools/plain")["base_job_template"]
    licence = site.directory / "licence"
    licence.write_text("licensed\n")
    properties = template["variables"]["properties"]
    properties["volumes"]["default"] = [f"{licence}:/opt/licence:ro"]
    properties["env"]["default"] = {"SITE": "north", "PREFECT_API_KEY": "pnu_secret"}
    site.send("PATCH", "work_pools/plain", {"base_job_template": template}).raise_for_status()
    (site.directory / "say.cwl").write_text(TOOL)
    (site.directory / "overrides.yml").write_text("say: {container_create_kwargs: {hostname: of-the-step}}\n")

    how = ("--step-overrides", "overrides.yml", "say.cwl")
    outputs = output_of(site, "run", "--steps-pool", "plain", *how)
    explained = output_of(site, "explain-job", "--pool", "plain", "--json", *how)

    assert Path(outputs["said"]["path"]).read_text().split() == ["of-the-step", "north", "licensed"]
    assert explained["origins"]["environment.SITE"] == "pool template"
    assert explained["origins"]["hostname"] == "step override"
    assert "pnu_secret" not in json.dumps(explained)


def test_the_doctor_looks_at_a_pool_and_fails_where_runs_would(site: Site) -> None:
    found = output_of(site, "doctor", "--pool", "here", "--json")
    assert {each["check"] for each in found} >= {"packages", "home", "Prefect API", "work pool", "pool template"}
    assert "There is no work pool nowhere" in site.run("cwl-prefect", "doctor", "--pool", "nowhere", code=1)


def test_a_deployment_s_job_variables_are_explained(site: Site) -> None:
    site.deploy(TOOL, "--name", "explained", "--job-variable", 'cwl={"env": {"SITE": "south"}}')

    found = output_of(site, "explain-job", "--deployment", "say/explained", "--json", "workflow.cwl")

    assert (found["pool"], found["configuration"]["environment"]["SITE"]) == ("here", "south")
    assert found["origins"]["environment.SITE"] == "deployment"
    assert "no deployment nowhere" in site.run(
        "cwl-prefect", "explain-job", "--deployment", "nowhere", "workflow.cwl", code=2
    )
