"""The files in deployments/ hold together; those for Kubernetes are checked by a real API server elsewhere."""

from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.commands import PROJECT

DEPLOYMENTS = PROJECT / "deployments"


@pytest.fixture
def compose() -> dict[str, Any]:
    return YAML(typ="safe").load(DEPLOYMENTS / "docker-compose.yml")


def test_services_wait_for_services_that_say_when_they_are_ready(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, wait in service.get("depends_on", {}).items():
            needed = compose["services"][name]
            assert wait["condition"] != "service_healthy" or "healthcheck" in needed


def test_worker_and_flow_runs_find_the_server_by_one_address(compose: dict[str, Any]) -> None:
    worker, server = compose["services"]["worker"], compose["services"]["server"]
    assert worker["network_mode"] == "host"  # which Prefect then gives to flow runs
    assert worker["environment"]["PREFECT_API_URL"] == "http://127.0.0.1:4200/api"
    assert server["ports"] == ["127.0.0.1:4200:4200"]


def test_the_worker_serves_the_pool_that_is_made(compose: dict[str, Any]) -> None:
    made = compose["services"]["pool"]["command"]
    worker = compose["services"]["worker"]["command"]
    assert made[3] == worker[worker.index("--pool") + 1]


def test_what_is_local_stays_out_of_the_image() -> None:
    lines = (PROJECT / ".dockerignore").read_text().splitlines()
    assert lines[0] == "*"
    assert not any(line.startswith("!.") for line in lines)
