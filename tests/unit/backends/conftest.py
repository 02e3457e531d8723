"""An engine without containers for every test of the Docker backend."""

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.backends.stub_engine import StubEngine, StubServer


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubEngine]:
    """An engine that DOCKER_HOST names, without images."""
    engine = StubEngine(play=lambda _: 0)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "engine.sock")
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        monkeypatch.setenv("DOCKER_CONFIG", directory)
        server = StubServer(path, engine)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield engine
        server.shutdown()
        server.server_close()
