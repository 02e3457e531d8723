"""What deployments have stored by name and content goes on working, however the code is arranged now."""

import json
from importlib import import_module
from pathlib import Path

import pytest

from cwl_prefect.flows.deployment.pull_step import unpacked

STORED = json.loads(Path(__file__).with_name("former_deployment.json").read_text("utf-8"))
"""The pull step of a deployment that was made before files travelled in an archive."""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the flow starts, as the pull step of the deployment says."""
    monkeypatch.setenv("CWL_PREFECT_HOME", str(tmp_path / "home"))
    [(name, inputs)] = STORED.items()
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
