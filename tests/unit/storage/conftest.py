"""A store on loopback for the tests of this room, which begin with an empty bucket."""

from collections.abc import Iterator

import pytest

from tests.object_store import ObjectStore, fresh_store, running_store


@pytest.fixture(scope="session")
def _running_store() -> Iterator[ObjectStore]:
    with running_store() as store:
        yield store


@pytest.fixture
def object_store(_running_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """The store with an empty bucket."""
    with fresh_store(_running_store, monkeypatch) as store:
        yield store
