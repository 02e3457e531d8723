"""Runs in a home of their own that are killed at random moments."""

from tests.commandline.conftest import command, shared_environment

__all__ = ["command", "shared_environment"]
