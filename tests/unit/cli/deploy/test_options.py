import pytest
from typer.testing import CliRunner

from cwl_prefect.cli.app import app
from cwl_prefect.cli.deploy import commands
from cwl_prefect.cli.deploy.options import DeployOptions


@pytest.fixture
def given(monkeypatch):
    """What a command line gives of a deployment."""

    def given(*arguments: str) -> DeployOptions:
        found: list[DeployOptions] = []
        monkeypatch.setattr(commands, "deploy_document", lambda options, **_: found.append(options))
        monkeypatch.setattr(commands, "deploy_file", lambda _, options, **__: found.append(options))
        assert CliRunner().invoke(app, ["deploy", *arguments]).exit_code == 0
        return found[0]

    return given


def test_what_is_not_given_is_as_if_there_were_no_option(given):
    assert given("--from", "file.yaml") == DeployOptions()


def test_what_is_given_is_told_by_the_names_of_the_fields(given):
    found = given("flow.cwl", "--pool", "lab", "--tag", "a", "--tag", "b", "--priority", "1", "--move")
    assert (found.document, found.pool, list(found.tag or ())) == ("flow.cwl", "lab", ["a", "b"])
    assert (found.priority, found.move, found.reset, found.cron) == (1, True, False, None)
