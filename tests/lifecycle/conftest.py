"""Runs in a home of their own that are killed, resumed, cancelled and cleaned up."""

from tests.commandline.conftest import command, shared_environment

__all__ = ["command", "shared_environment"]
