"""What a tool prints is read from its own regular file, whatever it put in the file's place."""

import os
from pathlib import Path

import pytest

from cwl_prefect.engine.outputs.tail import Follower, last_lines


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    (tmp_path / "secret").write_text("secret\n")
    return tmp_path / "out" / "err.txt"


def make_link(path: Path) -> None:
    path.symlink_to(path.parent.parent / "secret")


REPLACEMENTS = [
    pytest.param(make_link, id="link"),
    pytest.param(os.mkfifo, id="pipe"),
    pytest.param(os.mkdir, id="directory"),
    pytest.param(lambda path: None, id="nothing"),
]


def test_the_last_lines_of_a_file(stream):
    stream.write_text("1\n2\n3\n")
    assert last_lines(stream, 2) == ["2", "3"]


def test_lines_that_came_since_the_last_look(stream):
    follower = Follower(stream, most=10)
    stream.write_text("1\n2")
    assert follower.more(ended=False) == ["1"]
    stream.write_text("1\n23\n")
    assert follower.more(ended=True) == ["23"]


@pytest.mark.parametrize("replace", REPLACEMENTS)
def test_what_a_tool_put_in_place_of_its_stderr_has_no_lines(stream, replace):
    replace(stream)
    assert last_lines(stream, 5) == []
    assert Follower(stream, most=5).more(ended=True) == []


def test_a_directory_that_a_tool_replaced_by_a_link_is_not_entered(stream):
    follower = Follower(stream, most=5)
    stream.write_text("said\n")
    assert follower.more(ended=False) == ["said"]
    elsewhere = stream.parent.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / stream.name).write_text("said\nsecret\n")
    stream.parent.rename(stream.parent.with_name("aside"))
    stream.parent.symlink_to(elsewhere)
    assert follower.more(ended=True) == []
    assert last_lines(stream, 5) == []


def test_a_directory_that_may_be_entered_and_not_listed_is_on_the_way(stream):
    stream.write_text("said\n")
    stream.parent.chmod(0o311)
    assert last_lines(stream, 5) == ["said"]
