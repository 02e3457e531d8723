"""A home in which no other tests run anything: what asks for all unfinished runs would find theirs."""

from collections.abc import Iterator, Mapping

import pytest

from tests.commands import command_environment


@pytest.fixture(scope="module")
def shared_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """One home for the tests of a module."""
    yield from command_environment(tmp_path_factory.mktemp("home"))
