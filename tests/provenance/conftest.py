"""The command line as the tests of tests/commandline drive it."""

from tests.commandline.conftest import command, shared_environment

__all__ = ["command", "shared_environment"]
