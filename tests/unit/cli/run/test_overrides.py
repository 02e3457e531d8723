"""The file of step overrides."""

from pathlib import Path

import pytest

from cwl_prefect.cli.failures import settings_with
from cwl_prefect.cli.run.command import chosen_settings, read_overrides
from cwl_prefect.errors import UsageError


def test_yaml_and_json_are_read(tmp_path: Path) -> None:
    path = tmp_path / "overrides.yml"
    path.write_text("prepare.align: {resources: {ram: 8G}, tolerations: [{operator: Exists}]}\n'*': {image: 'x:1'}\n")
    assert read_overrides(path) == {
        "prepare.align": {"resources": {"ram": "8G"}, "tolerations": [{"operator": "Exists"}]},
        "*": {"image": "x:1"},
    }


@pytest.mark.parametrize(
    "content", ["[]", "a: 1", "a: [", "", "a: {b: 2020-01-01}", "a: &a {b: *a}"], ids=lambda text: text or "empty"
)
def test_anything_else_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "overrides.yml"
    path.write_text(content)
    with pytest.raises(UsageError, match="--step-overrides"):
        read_overrides(path)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        read_overrides(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "said"),
    [('{"x"', "CWL_PREFECT_STEP_OVERRIDES: this is no JSON"), ('{"x": 1}', "CWL_PREFECT_STEP_OVERRIDES: Input should")],
)
def test_a_wrong_variable_is_named(text: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CWL_PREFECT_STEP_OVERRIDES", text)
    with pytest.raises(UsageError, match=said):
        settings_with({})


def test_the_file_goes_over_the_variable_member_by_member(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CWL_PREFECT_STEP_OVERRIDES", '{"align": {"image": "a", "env": {"A": "1"}}}')
    found = settings_with({"step_overrides": {"align": {"image": "b"}, "sort": {}}})
    assert found.step_overrides == {"align": {"image": "b", "env": {"A": "1"}}, "sort": {}}


def test_a_wrong_variable_is_no_error_where_an_option_goes_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CWL_PREFECT_MAX_CORES", "many")
    assert settings_with({"max_cores": 2.0}).max_cores == 2.0


def test_assets_without_catalogs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="--assets is for --stage-in stac") as told:
        chosen_settings({"assets": ("red",)})
    assert told.value.exit_code == 2

    monkeypatch.setenv("CWL_PREFECT_STAGE_IN", "stac")
    assert chosen_settings({"assets": ("red",)}).assets == ("red",)


def test_a_variable_may_choose_assets_for_runs_with_catalogs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CWL_PREFECT_ASSETS", '["red"]')
    assert chosen_settings({}).assets == ("red",)
