"""Where the engine is looked for."""

import hashlib
import json
import ssl
from pathlib import Path

import pytest

from cwl_prefect.backends.docker.address import Address, engine_address
from cwl_prefect.backends.docker.api import EngineApi
from cwl_prefect.backends.docker.engine import engine_answers
from cwl_prefect.errors import BackendError
from tests.unit.backends.stub_engine import StubEngine


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path


def context(configuration: Path, name: str, host: str) -> None:
    meta = configuration / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    meta.mkdir(parents=True)
    endpoints = {"docker": {"Host": host, "SkipTLSVerify": False}}
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": endpoints}))


@pytest.mark.parametrize(
    ("url", "socket", "place"),
    [
        ("unix:///run/user/1000/docker.sock", "/run/user/1000/docker.sock", ("localhost", 2375)),
        ("tcp://build.example:1234", None, ("build.example", 1234)),
        ("tcp://build.example", None, ("build.example", 2375)),
        ("build.example:1234", None, ("build.example", 1234)),
    ],
)
def test_docker_host_is_followed(
    configuration: Path, monkeypatch: pytest.MonkeyPatch, url: str, socket: str | None, place: tuple[str, int]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", url)
    found = engine_address()
    assert (found.socket, (found.host, found.port), found.tls) == (socket, place, None)


def test_without_any_word_it_is_this_machine_s(configuration: Path) -> None:
    assert engine_address().socket == "/var/run/docker.sock"


@pytest.mark.parametrize("chosen_by", ["configuration", "environment"])
def test_the_current_context_is_followed(configuration: Path, monkeypatch: pytest.MonkeyPatch, chosen_by: str) -> None:
    if chosen_by == "environment":
        monkeypatch.setenv("DOCKER_CONTEXT", "mine")
    (configuration / "config.json").write_text('{"currentContext": "mine"}' if chosen_by == "configuration" else "{}")
    context(configuration, "mine", "unix:///run/mine.sock")
    assert engine_address().socket == "/run/mine.sock"


def test_docker_host_goes_before_a_context(configuration: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "missing")
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/first.sock")
    assert engine_address().socket == "/run/first.sock"


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"DOCKER_CONTEXT": "missing"}, "no Docker context missing"),
        ({"DOCKER_HOST": "ssh://me@there"}, "ssh://me@there cannot be used"),
        ({"DOCKER_HOST": "tcp://there", "DOCKER_CERT_PATH": "/no/such"}, "cannot be used"),
    ],
    ids=["context", "scheme", "certificates"],
)
def test_an_address_of_no_use_is_named(
    configuration: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BackendError, match=words):
        engine_address()


async def test_standard_input_over_tls_is_an_error_and_no_hang() -> None:
    place = Address(url="tcp://far:2376", host="far", port=2376, tls=ssl.create_default_context())
    api = EngineApi(place, timeout_s=1)
    with pytest.raises(BackendError, match="at tcp://far:2376: TLS cannot end it"):
        await api.attach("/containers/x/attach", params={"stdin": "1"})
    await api.close()


async def test_an_engine_answers_or_not(engine: StubEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await engine_answers()
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/engine.sock")
    assert not await engine_answers()
