import os
from pathlib import Path

import pytest

from cwl_prefect.errors import InputError, UsageError
from cwl_prefect.reports.files import REPORT, Format, check_targets, find_directory, rendered, write, write_report
from cwl_prefect.reports.record import read_record
from tests.unit.reports.traces import ENDED, STARTED, tried
from tests.unit.reports.traces import write as write_trace


@pytest.mark.parametrize("run", ["5e7f95a1-6917", "5e7f", "calm-cat", "last"])
def test_a_run_is_found(tmp_path, run):
    directory = write_trace(tmp_path / "5e7f95a1-6917", STARTED, ENDED)
    assert find_directory(run, tmp_path) == directory


def test_a_run_that_was_not_recorded_or_is_not_the_only_one_is_an_error(tmp_path):
    for run in ("5e7f95a1-1", "5e7f95a1-2"):
        write_trace(tmp_path / run, STARTED, ENDED)
    with pytest.raises(InputError, match="2 runs may be meant"):
        find_directory("calm-cat", tmp_path)
    with pytest.raises(InputError, match="nothing is recorded"):
        find_directory("other", tmp_path)


@pytest.mark.parametrize("chosen", list(Format))
def test_each_format_is_written(tmp_path, chosen):
    record = read_record(write_trace(tmp_path, STARTED, tried("align[0]"), ENDED))
    assert "align[0]" in rendered(record, chosen)


def test_the_report_lies_beside_the_trace(tmp_path):
    write_report(write_trace(tmp_path, STARTED, ENDED))
    assert (tmp_path / REPORT).read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("file/report.html", id="in-a-file"),
        pytest.param(".", id="directory"),
        pytest.param("/", id="root"),
    ],
)
def test_a_file_that_cannot_be_written_is_a_usage_error_before_and_after_the_run(tmp_path, name):
    (tmp_path / "file").touch()
    wrong = tmp_path / name
    with pytest.raises(UsageError, match="cannot be written"):
        check_targets([wrong])
    with pytest.raises(UsageError, match="cannot be written"):
        write(wrong, "text")


def test_a_url_is_no_file_before_and_after_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for given in (check_targets, lambda paths: write(paths[0], "text")):
        with pytest.raises(UsageError, match="it is a URL"):
            given([Path("s3://bucket/report.html")])
    assert list(tmp_path.iterdir()) == []


def test_directories_of_a_file_are_made_when_it_is_written(tmp_path):
    path = tmp_path / "results/of/report.html"
    check_targets([path])
    assert not path.parent.exists()
    write(path, "text")
    assert path.read_text() == "text"


@pytest.mark.parametrize("linked", [False, True], ids=["named", "linked-to"])
def test_what_is_no_file_is_written_to_and_stays(tmp_path, linked):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    path = tmp_path / "link" if linked else pipe
    if linked:
        path.symlink_to(pipe)
    check_targets([path])
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # so that whoever writes need not wait
    try:
        write(path, "text")
        assert os.read(reader, 100) == b"text"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert path.is_symlink() == linked
