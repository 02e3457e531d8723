"""Crates of real runs, as their user asks for them."""

import json
from zipfile import ZipFile

import pytest

from tests.commandline.driving import CommandLine
from tests.commandline.test_reports import LOGIN

pytestmark = pytest.mark.server

COPY = """
    cwlVersion: v1.2
    class: CommandLineTool
    baseCommand: cat
    inputs: {file: {type: File, inputBinding: {position: 1}}}
    outputs: {copy: stdout}
    stdout: copy.txt
    """


def test_a_run_is_written_as_a_crate_by_itself_and_afterwards(command: CommandLine) -> None:
    command.write("copy.cwl", COPY)
    command.write("in.txt", "text")
    run = ("--backend", "local", "copy.cwl", "--file", "in.txt")
    assert command.run("--provenance", "crate", *run).outputs
    copied = {path.name for path in (command.directory / "crate/data").rglob("*.txt")}
    assert copied == {"in.txt", "copy.txt"}
    again = command("runs", "crate", "last", "-o", "again.zip", "--no-data")
    assert (again.code, again.stdout) == (0, "again.zip\n")
    with ZipFile(command.directory / "again.zip") as archive:
        metadata = archive.read("ro-crate-metadata.json").decode()
    assert str(command.directory) not in metadata
    packed = command.run("--backend", "local", "crate/packed.cwl#main", "--file", "in.txt")
    assert packed.outputs


def test_a_crate_that_could_not_be_written_is_refused_before_anything_runs(command: CommandLine) -> None:
    command.write("copy.cwl", COPY)
    command.write("crate/mine.txt", "mine")
    ended = command.run("--provenance", "crate", "copy.cwl", "--file", "copy.cwl")
    assert ended.code == 2
    assert "crate exists already" in ended.stderr


def test_secrets_are_in_no_crate(command: CommandLine) -> None:
    command.write("login.cwl", LOGIN)
    ended = command.run("--backend", "local", "--provenance", "crate", "login.cwl", "--password", "hunter22")
    assert ended.code != 0
    files = [path for path in (command.directory / "crate").rglob("*") if path.is_file()]
    assert not [path for path in files if "hunter22" in path.read_text()]
    assert json.loads((command.directory / "crate/packed.cwl").read_text())["cwlVersion"] == "v1.2"
