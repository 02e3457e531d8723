import pytest

from cwl_prefect.errors import BackendError, InputError
from cwl_prefect.flows.claim import claim, is_driven


def test_the_first_driver_finds_nothing_of_an_earlier_one(tmp_path):
    with claim(tmp_path / "runs", "run") as claimed:
        assert not claimed.again
        assert is_driven(claimed.directory)
    assert not is_driven(claimed.directory)


def test_a_second_driver_is_refused_and_told_who_drives(tmp_path):
    with claim(tmp_path, "run"), pytest.raises(InputError, match=r"process [0-9]+ on "), claim(tmp_path, "run"):
        pass


def test_a_later_driver_knows_and_starts_without_the_scratch_of_the_earlier(tmp_path):
    with claim(tmp_path, "run") as claimed:
        (claimed.directory / ".scratch" / "0" / "tmp").mkdir(parents=True)
        (claimed.directory / "step").mkdir()
    with claim(tmp_path, "run") as claimed:
        assert claimed.again
        assert not (claimed.directory / ".scratch").exists()
        assert (claimed.directory / "step").exists()


def test_a_directory_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(BackendError, match="--workdir"), claim(tmp_path / "runs", "run"):
        pass
