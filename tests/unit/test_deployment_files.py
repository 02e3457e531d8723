"""The files in deployments/ hold together; those for Kubernetes are checked by a real API server elsewhere."""

from typing import Any

import pytest
from prefect_kubernetes.settings import KubernetesSettings
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
    assert worker["environment"]["PREFECT_API_URL"] == "http://127.0.0.1:${PREFECT_PORT:-4200}/api"
    assert server["ports"] == ["127.0.0.1:${PREFECT_PORT:-4200}:4200"]


def test_the_worker_serves_the_pool_that_is_made(compose: dict[str, Any]) -> None:
    made = compose["services"]["pool"]["command"]
    worker = compose["services"]["worker"]["command"]
    assert made[3] == worker[worker.index("--pool") + 1]


def test_a_pool_that_was_changed_is_not_reset_by_the_next_start(compose: dict[str, Any]) -> None:
    assert compose["services"]["pool"]["command"][-1] == "--keep"


def test_the_database_is_ready_only_once_it_can_be_reached_from_elsewhere(compose: dict[str, Any]) -> None:
    """While its image makes the database, a server answers on the socket that ends again."""
    assert "--host=127.0.0.1" in compose["services"]["database"]["healthcheck"]["test"]


def test_the_password_of_the_database_is_the_server_s_alone_and_in_no_url(compose: dict[str, Any]) -> None:
    holders = {
        (service, name)
        for service, about in compose["services"].items()
        for name, value in about["environment"].items()
        if "POSTGRES_PASSWORD" in value
    }
    assert holders == {("database", "POSTGRES_PASSWORD"), ("server", "PREFECT_SERVER_DATABASE_PASSWORD")}
    assert compose["services"]["server"]["environment"]["PREFECT_SERVER_DATABASE_PASSWORD"].startswith("${")


def test_projects_in_folders_of_one_name_do_not_share_a_database(compose: dict[str, Any]) -> None:
    assert compose["name"] == "cwl-prefect"


def test_flow_runs_on_kubernetes_read_credentials_from_the_secret_that_the_worker_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Prefect's worker puts a reference in the place of each credential for which it knows a secret."""
    worker = YAML(typ="safe").load(DEPLOYMENTS / "kubernetes/worker.yaml")
    (container,) = worker["spec"]["template"]["spec"]["containers"]
    for variable in container["env"]:
        if "value" in variable:
            monkeypatch.setenv(variable["name"], variable["value"])
    found = KubernetesSettings().worker
    secrets = [each["secretRef"]["name"] for each in container["envFrom"] if "secretRef" in each]
    assert [found.api_key_secret_name] == [found.api_auth_string_secret_name] == secrets
    assert found.api_key_secret_key == "PREFECT_API_KEY"
    assert found.api_auth_string_secret_key == "PREFECT_API_AUTH_STRING"


def test_what_is_local_stays_out_of_the_image() -> None:
    lines = (PROJECT / ".dockerignore").read_text().splitlines()
    assert lines[0] == "*"
    assert not any(line.startswith("!.") for line in lines)
