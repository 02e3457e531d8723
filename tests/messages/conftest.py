"""Commands in a home of their own, as for the command line's other tests."""

from tests.commandline.conftest import command, shared_environment

__all__ = ["command", "shared_environment"]
