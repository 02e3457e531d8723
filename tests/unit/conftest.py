"""Warnings are errors in unit tests, where no engine and no server of others gives any."""

import pytest

WARNINGS = (
    "error",
    # Whatever is left open is found when memory is collected, within some later test. anyio leaves the socket of a
    # `connect_unix` open that is cancelled.
    "default::ResourceWarning",
    "default::pytest.PytestUnraisableExceptionWarning",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith("tests/unit/"):
            item.add_marker(pytest.mark.filterwarnings(*WARNINGS), append=False)
