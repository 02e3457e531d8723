"""The command line in a home of its own, whose local server all these tests share."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from cwl_prefect.server.standby.place import IDLE_VARIABLE
from tests.commandline.driving import CommandLine
from tests.commands import command_environment


@pytest.fixture(scope="session")
def shared_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """One home, and so one server, for the whole session."""
    yield from command_environment(tmp_path_factory.mktemp("home"))


@pytest.fixture
def command(
    shared_environment: Mapping[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[CommandLine]:
    """The commands, called from a directory of the test; by themselves, but where the test is marked `standby`."""
    standby = {} if request.node.get_closest_marker("standby") is None else {IDLE_VARIABLE: "300"}
    directory = tmp_path / "work"
    directory.mkdir()
    commands = CommandLine(environment={**shared_environment, **standby}, directory=directory)
    yield commands
    commands.kill_rest()
