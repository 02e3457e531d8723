import pytest
from prefect.settings.models.api import APISettings
from prefect.settings.models.root import Settings
from pydantic import BaseModel, ValidationError

from cwl_prefect.cli.exit_codes import INTERNAL_ERROR
from cwl_prefect.cli.failures import report_failure
from cwl_prefect.errors import UsageError


class Own(BaseModel):
    number: int


@pytest.mark.parametrize(
    ("model", "values", "told"),
    [
        (APISettings, {"request_timeout": "s3cret"}, "PREFECT_API_REQUEST_TIMEOUT: Input should be a valid number"),
        (Settings, {"api": {"url": "http://["}}, "settings of Prefect: Invalid IPv6 URL."),
    ],
    ids=["one-of-a-group", "together"],
)
def test_a_wrong_setting_of_prefect_is_named_without_its_value(model, values, told, capsys):
    with pytest.raises(ValidationError) as caught:
        model(**values)
    assert report_failure(caught.value) == UsageError.exit_code
    said = capsys.readouterr().err
    assert told in said
    assert "correct it where Prefect reads it" in said
    assert "s3cret" not in said


def test_any_other_model_that_does_not_fit_is_a_fault_of_this_package(capsys):
    with pytest.raises(ValidationError) as caught:
        Own(number="x")
    assert report_failure(caught.value) == INTERNAL_ERROR
    assert "This is a bug" in capsys.readouterr().err


def test_a_name_that_no_file_can_have_is_told_shortened(tmp_path, capsys):
    with pytest.raises(OSError, match="too long") as caught:
        (tmp_path / ("a" * 5_000)).touch()
    assert report_failure(caught.value) == UsageError.exit_code
    said = capsys.readouterr().err
    assert "File name too long." in said
    assert len(said) < 200
