import json
import tomllib

import pytest
from typer.testing import CliRunner

from cwl_prefect.cli.app import app
from cwl_prefect.configuration import NAME
from cwl_prefect.settings import Settings


@pytest.fixture
def shown(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return lambda *options: CliRunner().invoke(app, ["config", "show", *options])


def test_every_setting_is_shown_with_where_it_comes_from(shown, monkeypatch, tmp_path):
    (tmp_path / NAME).write_text('observers = ["a:B"]\n[step_overrides."a.*"]\nenv = {X = "say \\"é\\""}\n')
    monkeypatch.setenv("CWL_PREFECT_KEEP", "always")
    lines = shown().stdout.splitlines()
    assert [line.removeprefix("# ").partition(" =")[0] for line in lines] == list(Settings.model_fields)
    assert "# retries = 0" in lines
    assert "# max_cores =" in lines
    assert 'keep = "always"  # CWL_PREFECT_KEEP' in lines
    assert f'observers = ["a:B"]  # {tmp_path / NAME}' in lines


def test_what_is_shown_can_be_a_file_of_settings(shown, tmp_path):
    (tmp_path / NAME).write_text('observers = ["a:B"]\n[step_overrides."a.*"]\nenv = {X = "say \\"é\\""}\n')
    before = Settings()
    (tmp_path / NAME).write_text(shown().stdout)
    assert tomllib.loads((tmp_path / NAME).read_text())
    assert Settings() == before


def test_settings_are_shown_as_json(shown, tmp_path):
    (tmp_path / NAME).write_text("retries = 3\n")
    found = {each["name"]: each for each in json.loads(shown("--json").stdout)}
    assert found["retries"] == {"name": "retries", "value": 3, "from": str(tmp_path / NAME)}
    assert found["keep"]["from"] is None


def test_a_wrong_value_names_the_file(shown, tmp_path):
    (tmp_path / NAME).write_text("retries = -3\n")
    result = shown()
    assert result.exit_code == 2
    assert f"{tmp_path / NAME}: retries: Input should be greater than or equal to 0, not -3" in result.stderr
