import json
from pathlib import Path
from zipfile import ZipFile

import pytest

from cwl_prefect.errors import InputError, UsageError
from cwl_prefect.reports.crate.write import write_crate
from cwl_prefect.settings import Settings
from tests.unit.reports.crate.crates import PLAIN, entities, file, record
from tests.unit.reports.traces import tried


@pytest.fixture
def recorded(tmp_path):
    given = file(tmp_path / "in/reads.fq", "ACGT")
    return record(tmp_path, PLAIN, tried("first", inputs={"x": given}, outputs={"o": "ho"}))


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path / "home")


def test_a_crate_is_a_directory(tmp_path, recorded, settings):
    write_crate(recorded, tmp_path / "crate", settings)
    found = json.loads((tmp_path / "crate/ro-crate-metadata.json").read_text())
    assert found["@context"][0] == "https://w3id.org/ro/crate/1.1/context"
    assert json.loads((tmp_path / "crate/packed.cwl").read_text())["cwlVersion"] == "v1.2"
    assert [path.read_text() for path in (tmp_path / "crate/data").glob("*/reads.fq")] == ["ACGT"]
    assert not list(tmp_path.glob(".*"))


def test_a_crate_is_an_archive_where_its_name_says_so(tmp_path, recorded, settings):
    write_crate(recorded, tmp_path / "crate.zip", settings, data=False)
    with ZipFile(tmp_path / "crate.zip") as archive:
        assert sorted(archive.namelist()) == ["packed.cwl", "ro-crate-metadata.json"]
    assert not list(tmp_path.glob(".*"))


def test_a_url_is_no_place_for_a_crate(recorded, settings):
    with pytest.raises(UsageError, match="it is a URL"):
        write_crate(recorded, Path("s3://bucket/crate.zip"), settings)


def test_what_is_there_is_not_written_over(tmp_path, recorded, settings):
    (tmp_path / "crate.zip").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        write_crate(recorded, tmp_path / "crate.zip", settings)
    assert (tmp_path / "crate.zip").read_text() == "mine"


def test_directories_on_the_way_are_made(tmp_path, recorded, settings):
    write_crate(recorded, tmp_path / "new/crate", settings, data=False)
    assert (tmp_path / "new/crate/packed.cwl").is_file()


def test_a_place_that_cannot_be_written_is_an_error(tmp_path, recorded, settings):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_crate(recorded, tmp_path / "file/crate", settings)


def test_a_run_whose_plan_was_not_kept_is_an_error(tmp_path, recorded, settings):
    (recorded / "plan.json").unlink()
    with pytest.raises(InputError, match="what the run ran"):
        write_crate(recorded, tmp_path / "crate", settings)
    assert not (tmp_path / "crate").exists()


def test_agent_and_licence_come_from_the_settings(tmp_path):
    known = Settings(
        home=tmp_path / "home",
        agent="Ada Lovelace <https://orcid.org/0000-0002-1825-0097>",
        license="https://spdx.org/licenses/CC0-1.0",
    )
    found = entities(tmp_path, PLAIN, tried("first"), settings=known)
    assert found["#run"]["agent"] == {"@id": "https://orcid.org/0000-0002-1825-0097"}
    assert found["https://orcid.org/0000-0002-1825-0097"]["name"] == "Ada Lovelace"
    assert found["./"]["license"] == {"@id": "https://spdx.org/licenses/CC0-1.0"}


def test_without_settings_nobody_is_named_and_no_licence_is_claimed(tmp_path):
    found = entities(tmp_path, PLAIN, tried("first"))
    assert "agent" not in found["#run"]
    assert found["./"]["license"] == "No licence is stated."
