"""A deployment of the release before runs as it is, and is renewed without its document."""

import json
from typing import Any

import pytest

from tests.commands import PROJECT
from tests.deployments.site import ENDED, Site

pytestmark = pytest.mark.server

FORMER = PROJECT / "tests/unit/flows/deployment/former_release.json"
PEOPLE = [{"name": "Ada"}, {"name": "Bob", "age": 3}]
LETTERS = sum(len(f"hello {person['name']}") for person in PEOPLE)


def stored(site: Site, **changed: object) -> str:
    """Store the deployment of the release before, as that did, and give its identifier."""
    content: dict[str, Any] = json.loads(FORMER.read_text("utf-8")) | changed
    flow = site.send("POST", "flows/", {"name": content.pop("flow")}).raise_for_status().json()["id"]
    given = content | {"flow_id": flow, "work_pool_name": "here"}
    return site.send("POST", "deployments/", given).raise_for_status().json()["id"]


def test_deployments_of_the_release_before_run_and_are_renewed_without_their_document(site: Site) -> None:
    schedules = [{"schedule": {"cron": "0 6 * * *", "timezone": "Europe/Berlin"}, "active": True}]
    variables = {"env": {"CWL_PREFECT_OUTDIR": str(site.directory / "greetings")}}
    options = {"schedules": schedules, "job_variables": variables, "parameters": {"people": PEOPLE, "loud": False}}
    left, renewed = stored(site, **options), stored(site, name="renewed", **options)
    before = site.get(f"deployments/{renewed}")

    assert "~ greet/renewed: was made by" in site.run("cwl-prefect", "deployments", "upgrade", "greet/renewed")

    after = site.get(f"deployments/{renewed}")
    same = ("version", "parameters", "job_variables", "tags", "work_pool_name", "work_queue_name", "description")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert [each["schedule"] for each in after["schedules"]] == [each["schedule"] for each in before["schedules"]]
    found = {each["name"]: each for each in json.loads(site.run("cwl-prefect", "deployments", "ls", "--json"))}
    assert found["greet/renewed"]["current"]
    assert found["greet/old"] == {
        "name": "greet/old",
        "id": left,
        "pool": "here",
        "queue": "default",
        "version": "3be1c752e332",
        "release": None,
        "plan_format": 1,
        "current": False,
        "schedules": ["0 6 * * * Europe/Berlin"],
        "paused": False,
        "outdir": str(site.directory / "greetings"),
    }
    runs = [site.start(deployment).json()["id"] for deployment in (left, renewed)]
    for run in runs:
        assert site.until(run, *ENDED) == "COMPLETED", site.log_of(run)
        (written,) = (site.directory / "greetings").glob(f"{run}*/cwl-prefect-outputs.json")
        assert json.loads(written.read_text())["letters"] == LETTERS
    for deployment in (left, renewed):
        site.send("DELETE", f"deployments/{deployment}", None).raise_for_status()


def test_a_deployment_that_cannot_be_read_says_so_where_its_run_is_shown(site: Site) -> None:
    step = {"cwl_prefect.flows.steps.unpack": {"plan": "bm8gcGxhbg=="}}
    deployment = stored(site, name="unreadable", pull_steps=[step])

    said = site.run("cwl-prefect", "deployments", "upgrade", "--all", "--dry-run", code=2)
    run = site.start(deployment, people=PEOPLE).json()["id"]

    assert "! greet/unreadable: this deployment holds no workflow" in said
    assert site.until(run, *ENDED) == "FAILED"
    assert "deploy it again" in site.get(f"flow_runs/{run}")["state"]["message"]
    site.send("DELETE", f"deployments/{deployment}", None).raise_for_status()
