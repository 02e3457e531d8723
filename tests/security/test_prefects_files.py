"""What Prefect would read in the current directory runs no code, and names no API that somebody else chose."""

import os
from pathlib import Path

import pytest

from tests.commandline.driving import CommandLine, assert_refused

USAGE = 2
TOOL = "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: 'true', inputs: [], outputs: []}"
EVIL = """
version: 1
disable_existing_loggers: false
handlers:
  made:
    (): os.mkdir
    path: {directory}/made-by-logging
root: {{level: INFO, handlers: [made]}}
"""
CODE = {
    "prefect.toml": "[logging]\nconfig_path = 'evil.yml'",
    "pyproject.toml": "[tool.prefect.logging]\nconfig_path = 'evil.yml'",
    ".env": "PREFECT_LOGGING_SETTINGS_PATH=evil.yml",
}
API = "[api]\nurl = 'http://127.0.0.1:1/api'"


@pytest.fixture
def command(command: CommandLine) -> CommandLine:
    command.write("tool.cwl", TOOL)
    command.write("evil.yml", EVIL.format(directory=command.directory))
    return command


@pytest.mark.parametrize("name", CODE)
@pytest.mark.parametrize(
    "line",
    [
        "run --backend local tool.cwl",
        "run --dry-run tool.cwl",
        "doctor",
        "runs ls",
        "runs logs none",
        "runs resume none",
        "runs rm none --yes",
        "explain-job tool.cwl",
        "deploy --pool here tool.cwl",
        "serve tool.cwl",
    ],
)
def test_a_configuration_of_logging_is_not_taken_from_the_current_directory(
    command: CommandLine, name: str, line: str
) -> None:
    command.write(name, CODE[name])
    assert_refused(command(*line.split()), USAGE, name, "names code")
    assert not (command.directory / "made-by-logging").exists()


def test_a_home_with_a_configuration_of_logging_is_not_taken_from_there(command: CommandLine) -> None:
    command.write("prefect.toml", "home = '.'")
    (command.directory / "evil.yml").rename(command.directory / "logging.yml")
    assert_refused(command("run", "--backend", "local", "tool.cwl"), USAGE, "PREFECT_HOME", "names code")
    assert not (command.directory / "made-by-logging").exists()


def test_an_api_that_another_user_may_name_is_refused(command: CommandLine) -> None:
    command.write("prefect.toml", API).chmod(0o666)
    ended = command("run", "tool.cwl")
    assert_refused(ended, USAGE, "prefect.toml", "somebody else could have written it", "chmod go-w")


def test_an_api_of_a_directory_that_others_may_write_is_refused(command: CommandLine) -> None:
    command.write("prefect.toml", API)
    command.directory.chmod(0o1777)
    assert_refused(command("run", "tool.cwl"), USAGE, "prefect.toml", "somebody else could have written it")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_an_api_of_another_user_is_refused(command: CommandLine) -> None:
    os.chown(command.write(".env", "PREFECT_API_URL=http://127.0.0.1:1/api"), 54_321, 54_321)
    assert_refused(command("run", "tool.cwl"), USAGE, ".env", "somebody else could have written it")


def test_an_own_api_is_used_and_named(command: CommandLine) -> None:
    path: Path = command.write("prefect.toml", API)
    ended = command("run", "tool.cwl")
    assert f"The Prefect API is http://127.0.0.1:1/api, as {path} says." in ended.stderr
    assert "does not answer" in ended.stderr
