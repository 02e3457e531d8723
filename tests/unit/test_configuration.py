import os

import pytest

from cwl_prefect.configuration import NAME, configurations, demand_known
from cwl_prefect.errors import UsageError


@pytest.fixture
def project(tmp_path):
    found = tmp_path / "project"
    found.mkdir()
    return found


def read(project):
    return configurations({"HOME": str(project.parent)}, project)


def test_without_files_nothing_is_set(project):
    assert read(project) == ()


def test_a_directory_of_configurations_is_looked_into(project):
    place = project.parent / "elsewhere/cwl-prefect"
    place.mkdir(parents=True)
    (place / NAME).write_text("retries = 2\n")
    (found,) = configurations({"XDG_CONFIG_HOME": str(place.parent), "HOME": "/nowhere"}, project)
    assert (found.path, dict(found.values)) == (place / NAME, {"retries": 2})


@pytest.mark.parametrize("mode", [0o602, 0o666])
def test_a_file_that_others_may_write_is_refused(project, mode):
    (project / NAME).write_text("retries = 2\n")
    (project / NAME).chmod(mode)
    with pytest.raises(UsageError, match="somebody else could have written it") as told:
        read(project)
    assert "chmod go-w" in str(told.value)


def test_a_link_is_followed(project):
    (project / "other").write_text("retries = 2\n")
    (project / NAME).symlink_to("other")
    assert [dict(found.values) for found in read(project)] == [{"retries": 2}]


def test_what_is_no_file_is_no_configuration(project):
    os.mkfifo(project / NAME)
    assert read(project) == ()


@pytest.mark.parametrize(
    ("text", "said"), [(b"retries: 2", ": this is no TOML"), (b"\xff", " cannot be read: it is no text")]
)
def test_what_is_no_toml_is_refused_with_its_place(project, text, said):
    (project / NAME).write_bytes(text)
    with pytest.raises(UsageError, match=f"{project / NAME}{said}"):
        read(project)


@pytest.mark.parametrize(("name", "hint"), [("max_core", "Write max_cores."), ("colour", "config show")])
def test_what_is_no_setting_is_refused(project, name, hint):
    (project / NAME).write_text(f"{name} = 2\n")
    with pytest.raises(UsageError, match=f"there is no setting {name}") as told:
        demand_known(read(project), ("max_cores", "retries"))
    assert hint in str(told.value)
