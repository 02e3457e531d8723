"""What is written to a file that a user names."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cwl_prefect.cli.app import app
from cwl_prefect.cli.documents import write_text, write_tool
from cwl_prefect.errors import PublishError


def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_text("{}", pipe)
        assert os.read(reader, 100) == b"{}\n"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.parametrize("name", [".", "..", "/", "", "there/"])
def test_a_directory_is_no_file_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    with pytest.raises(PublishError, match="Is a directory"):
        write_text("{}", Path(name))
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_new_tool_replaces_no_file(tmp_path: Path):
    wanted = tmp_path / "tool.cwl"
    write_tool(["echo", "hello"], wanted)
    written = wanted.read_text()
    assert written.startswith("cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: echo\n")
    with pytest.raises(PublishError, match="there already"):
        write_tool(["cat"], wanted)
    assert wanted.read_text() == written


def test_options_after_the_dashes_are_those_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["new", "-o", "tool.cwl", "--", "sort", "-o", "out.txt", "--help"])
    assert result.exit_code == 0
    assert "prefix: --help" in Path("tool.cwl").read_text()
