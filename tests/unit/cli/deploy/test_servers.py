"""The server commands, against a local server that is not there; tests/server has a real one."""

import threading

import pytest
from typer.testing import CliRunner

from cwl_prefect.cli.app import app
from cwl_prefect.cli.deploy import servers
from cwl_prefect.errors import ServerError
from cwl_prefect.server import local_server
from cwl_prefect.server.local_server import ApiEndpoint, ServerStatus
from cwl_prefect.server.state import ServerState

STATE = ServerState(pid=7, host="127.0.0.1", port=4711, started_at=0.0, prefect_version="3.8.8", idle_s=60.0)


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("CWL_PREFECT_HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments):
    return CliRunner().invoke(app, ["server", *arguments])


def test_without_a_server_status_and_stop_say_so(home):
    assert "No local server is running." in invoke("status").stdout
    assert "No local server is running." in invoke("stop").stdout
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        pytest.param({}, ["is healthy: http://127.0.0.1:4711", "process  7", "after 60 s"], id="healthy"),
        pytest.param({"healthy": False, "in_use": True}, ["not answering", "by a run"], id="not-answering"),
        pytest.param({"state": None}, ["is starting"], id="starting"),
        pytest.param({"healthy": False, "out_of_reach": "It is there"}, ["It is there."], id="out of reach"),
    ],
)
def test_status_tells_how_the_server_is(monkeypatch, home, changes, told):
    found = {
        "running": True,
        "healthy": True,
        "in_use": False,
        "state": STATE,
        "log": home,
        "database": home,
        **changes,
    }

    async def status(_):
        return ServerStatus(**found)

    monkeypatch.setattr(local_server, "status", status)

    text = invoke("status").stdout

    assert all(each in text for each in told)


def test_status_tells_of_a_configured_api(monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://elsewhere/api")

    assert "configured Prefect API http://elsewhere/api" in invoke("status").stdout


@pytest.mark.parametrize(("started", "told"), [(True, "Started: http://x"), (False, "Running already: http://x")])
def test_start_tells_where_the_server_is(monkeypatch, started, told):
    async def start(_):
        return ApiEndpoint(url="http://x/api", ui_url="http://x", started=started, ours=True)

    monkeypatch.setattr(local_server, "start", start)

    assert invoke("start").stdout.strip() == told


def test_url_without_a_server_says_how_to_start_one_on_standard_error(home):
    result = invoke("url")

    assert (result.exit_code, result.stdout) == (19, "")
    assert "start it: `cwl-prefect server start`" in result.stderr
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("api", "told"),
    [
        pytest.param("http://elsewhere/prefect/api", "http://elsewhere/prefect", id="beside-the-api"),
        pytest.param("http://elsewhere/odd", "http://elsewhere/odd", id="not-known"),
    ],
)
def test_url_of_a_configured_api_is_that_of_its_ui(monkeypatch, api, told):
    monkeypatch.setenv("PREFECT_API_URL", api)

    assert invoke("url").stdout == f"{told}\n"


def test_a_server_that_does_not_start_has_its_exit_code(monkeypatch):
    async def start(_):
        raise ServerError("no", hint="why")

    monkeypatch.setattr(local_server, "start", start)

    result = invoke("start")

    assert result.exit_code == 19
    assert "To fix: why" in result.stderr


def test_logs_are_printed_or_missed(home):
    assert invoke("logs").exit_code == 19
    (home / "server").mkdir()
    (home / "server" / "server.log").write_text("one\ntwo\n")

    assert invoke("logs").stdout == "one\ntwo\n"


def test_followed_logs_go_on_over_a_restart(home, monkeypatch):
    path = home / "log"
    monkeypatch.setattr(servers, "POLL_INTERVAL_S", 0.01)
    additions = servers._additions(path, follow=True)
    threading.Timer(0.05, path.write_text, ["first\n"]).start()
    assert next(additions) == "first\n"
    with path.open("a") as file:
        file.write("more\n")
    assert next(additions) == "more\n"
    path.rename(home / "old")
    path.write_text("new\n")
    assert next(additions) == "new\n"
