"""What a Prefect user does: retry and run again, schedule and pause, deploy by Prefect's own command."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.commands import PROJECT
from tests.deployments.site import ENDED, Site
from tests.object_store import running_store

pytestmark = pytest.mark.server

NEEDS_FILE = """\
cwlVersion: v1.2
class: CommandLineTool
inputs: {path: File}
baseCommand: [cat]
arguments: [$(inputs.path.path)]
stdout: content
outputs: {content: stdout}
"""

SAVED = """\
import sys
from prefect.blocks.core import Block
from pydantic import SecretStr

class AwsCredentials(Block):
    _block_type_name = "AWS Credentials"
    aws_access_key_id: str
    aws_secret_access_key: SecretStr
    region_name: str
    aws_client_parameters: dict[str, str]

class S3Bucket(Block):
    _block_type_name = "S3 Bucket"
    bucket_name: str
    credentials: AwsCredentials

endpoint, key, secret = sys.argv[1:]
keys = AwsCredentials(
    aws_access_key_id=key,
    aws_secret_access_key=secret,
    region_name="us-east-1",
    aws_client_parameters={"endpoint_url": endpoint},
)
keys.save("keys")
S3Bucket(bucket_name="data", credentials=keys).save("lab")
"""
COUNTED = """\
cwlVersion: v1.2
class: ExpressionTool
requirements: {InlineJavascriptRequirement: {}}
inputs: {word: string, lines: "string[]"}
outputs: {found: string}
expression: '${ return {"found": inputs.word + " " + inputs.lines.length}; }'
"""


def retry(site: Site, run: str) -> None:
    """Press the button `Retry` of a run that ended, which is scheduled when this returns."""
    state = {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True}
    site.send("POST", f"flow_runs/{run}/set_state", state).raise_for_status()


def content(site: Site, run: str) -> str:
    return Path(site.outputs(run)["content"]["path"]).read_text()


def test_a_failed_run_is_retried_and_a_finished_one_run_again(site: Site) -> None:
    wanted = site.directory / "wanted.txt"
    run = site.start(site.deploy(NEEDS_FILE, "--name", "retried"), path=str(wanted)).json()["id"]
    assert site.until(run, *ENDED) == "FAILED"

    wanted.write_text("one")
    retry(site, run)
    assert site.until(run, *ENDED) == "COMPLETED"
    assert content(site, run) == "one"

    wanted.write_text("two")
    retry(site, run)
    assert site.until(run, *ENDED) == "COMPLETED"
    assert content(site, run) == "two"


def test_runs_start_by_schedule_until_the_deployment_is_paused(site: Site) -> None:
    (site.directory / "there.txt").write_text("here")
    # Not so often that a slow machine falls behind: Prefect plans a hundred runs ahead, and marks each that is late.
    options = ("--name", "scheduled", "--interval", "15s", "--param", f"path={site.directory / 'there.txt'}")
    deployment = site.deploy(NEEDS_FILE, *options)
    site.wait_for(lambda: "COMPLETED" in site.states_of(deployment), timeout_s=90)

    site.send("PATCH", f"deployments/{deployment}", {"paused": True}).raise_for_status()
    site.wait_for(lambda: not {"PENDING", "RUNNING"} & set(site.states_of(deployment)))
    ended = site.states_of(deployment).count("COMPLETED")
    site.deploy(NEEDS_FILE.replace("[cat]", "[cat, -u]"), *options)
    time.sleep(16)

    assert site.get(f"deployments/{deployment}")["paused"]
    assert site.states_of(deployment).count("COMPLETED") == ended
    site.send("DELETE", f"deployments/{deployment}", None)


def test_prefect_s_own_command_deploys_what_prefect_yaml_names(site: Site) -> None:
    done = site.run_anyhow(
        "prefect", "--no-prompt", "deploy", "--prefect-file", "deployments/prefect.yaml", "--all", cwd=PROJECT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    deployment = site.get("deployments/name/hello/repository")

    run = site.start(deployment["id"], message="Ahoy").json()["id"]

    assert site.until(run, *ENDED) == "COMPLETED", site.log_of(run)
    assert Path(site.outputs(run)["greeting"]["path"]).read_text() == "Ahoy\n"
    assert deployment["schedules"][0]["schedule"]["cron"] == "0 6 * * *"


def test_each_run_may_name_a_job_order_that_is_too_large_for_a_form(site: Site) -> None:
    large = {"lines": [f"line {number}" for number in range(60_000)], "word": "given"}
    deployment = site.deploy(COUNTED, "--name", "referring", "--inputs-file", "$ref")
    (site.directory / "job.json").write_text(json.dumps(large))

    assert site.start(deployment, **large).status_code == 422
    parameters = {"$ref": str(site.directory / "job.json"), "word": "said"}
    run = site.start(deployment, **parameters).json()["id"]

    assert site.until(run, *ENDED) == "COMPLETED", site.log_of(run)
    assert site.outputs(run) == {"found": "said 60000"}
    assert site.get(f"flow_runs/{run}")["parameters"] == parameters


def test_a_job_order_that_a_run_names_and_that_is_none_is_told_in_its_state(site: Site) -> None:
    deployment = site.deploy(COUNTED, "--name", "referring-wrongly", "--inputs-file", "$ref")
    run = site.start(deployment, **{"$ref": f"{site.root}/no/job.yml?X-Amz-Signature=abc"}).json()["id"]

    assert site.until(run, *ENDED) == "FAILED"
    message = site.get(f"flow_runs/{run}")["state"]["message"]
    assert "/no/job.yml?…" in message
    assert "abc" not in message + site.log_of(run)


def test_a_deployment_s_job_variable_names_the_block_that_its_store_asks_for(site: Site) -> None:
    with running_store() as store:
        store.create()
        store.put("job.yml", b"path: {class: File, path: a.txt}")
        store.put("a.txt", b"far away")
        with store.closed_to_all_but_one() as (key, secret):
            saving = [sys.executable, "-c", SAVED, store.endpoint, key, secret]
            subprocess.run(saving, env=site.environment, check=True, capture_output=True)
            variables = {"CWL_PREFECT_STORAGE_BLOCK": "lab", "CWL_PREFECT_OUTDIR": store.url("out/{run_name}")}
            options = ("--inputs-file", "$ref", "--job-variable", f"env={json.dumps(variables)}")
            deployment = site.deploy(NEEDS_FILE, "--name", "far", *options)

            run = site.start(deployment, **{"$ref": store.url("job.yml")}).json()["id"]

            assert site.until(run, *ENDED) == "COMPLETED", site.log_of(run)
        (found,) = (name for name in store.keys("out/") if name.endswith("/content"))
        assert store.content(found) == b"far away"
    told = json.dumps([site.get(f"flow_runs/{run}"), site.get(f"deployments/{deployment}")]) + site.log_of(run)
    assert secret not in told
    assert key not in told
