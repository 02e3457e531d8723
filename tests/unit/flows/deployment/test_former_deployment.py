"""What deployments have stored by name and content goes on working, however the code is arranged now."""

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from cwl_prefect.flows.deployment.pull_step import format_of, unpacked
from cwl_prefect.flows.parameters import openapi_schema
from cwl_prefect.model.plan_formats import PLAN_FORMAT

STORED = json.loads(Path(__file__).with_name("former_deployment.json").read_text("utf-8"))
"""The pull step of a deployment that was made before files travelled in an archive."""

RELEASE = json.loads(Path(__file__).with_name("former_release.json").read_text("utf-8"))
"""A deployment of the release before, whose plan has format 1."""


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CWL_PREFECT_HOME", str(tmp_path / "home"))


@pytest.fixture
def directory() -> Path:
    """Where the flow starts, as the pull step of the deployment says."""
    return pulled(STORED)


def pulled(stored: Mapping[str, Any]) -> Path:
    [(name, inputs)] = stored.items()
    module, _, function = name.rpartition(".")
    return Path(getattr(import_module(module), function)(**inputs)["directory"])


def test_its_files_are_laid(directory: Path) -> None:
    deployed = unpacked(directory)
    greeting, data = (Path(port.default["location"].removeprefix("file://")) for port in deployed.plan.inputs)
    assert greeting.is_relative_to(directory)
    assert greeting.read_text() == "hello\n"
    assert sorted(str(path.relative_to(data)) for path in data.rglob("*")) == ["empty", "run.sh"]
    assert (data / "run.sh").stat().st_mode & 0o777 == 0o755


def test_the_entry_point_that_it_names_is_its_flow(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory)
    flow = import_module("cwl_prefect.flows.entrypoint").flow
    assert flow.name == "greet"
    assert set(flow.parameters.properties) == {"greeting", "data"}


def test_the_flow_that_housekeeping_names_is_there() -> None:
    from prefect import Flow

    assert isinstance(import_module("cwl_prefect.flows.housekeeping").collect_workspaces, Flow)


def test_the_plan_of_the_release_before_becomes_one_of_today() -> None:
    (stored,) = RELEASE["pull_steps"]
    assert [format_of(inputs["plan"]) for inputs in stored.values()] == [1]

    deployed = unpacked(pulled(stored))

    assert deployed.plan.format == PLAN_FORMAT
    assert {step.run.format for step in deployed.plan.steps if step.run.kind == "workflow"} == {PLAN_FORMAT}
    assert deployed.plan.digest[:12] == RELEASE["version"]
    greeting = next(port.default for port in deployed.plan.inputs if port.id == "greeting")
    assert Path(greeting["location"].removeprefix("file://")).read_text() == "hello "
    before = RELEASE["parameter_openapi_schema"]["properties"]
    assert list(openapi_schema(deployed.form)["properties"]) == list(before)
