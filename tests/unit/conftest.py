"""What unit tests share: warnings are errors, as no engine gives any there; servers on loopback are empty at first."""

from collections.abc import Iterator

import pytest
from tenacity import wait_none

from tests.web_server import WebServer, running_web_server

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


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """A web server; nobody waits before asking it again."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("tenacity.wait_random_exponential", lambda **_: wait_none())
    with running_web_server() as server:
        yield server
