"""The local server's life, with a small application in Prefect's place."""

import asyncio
import os
import signal
import socket
import textwrap
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from cwl_prefect.errors import ServerError
from cwl_prefect.flows import server, server_keeping
from cwl_prefect.flows.file_lock import try_lock
from cwl_prefect.flows.server_database import is_known_revision, prepare_database, revision_of
from cwl_prefect.flows.server_keeping import kept
from cwl_prefect.flows.server_machine import Machine
from cwl_prefect.flows.server_state import last_port, read_state
from cwl_prefect.settings import Settings
from tests.waiting import eventually

STAND_IN = """
    import sys, types

    async def application(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                kind = (await receive())["type"]
                await send({"type": kind + ".complete"})
                if kind == "lifespan.shutdown":
                    return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"true"})

    module = types.ModuleType("prefect.server.api.server")
    module.create_app = lambda final: application
    for name in ("prefect", "prefect.server", "prefect.server.api"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules[module.__name__] = module

    from cwl_prefect.flows.server_process import main

    sys.exit(main())
"""


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch, tmp_path):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.delenv("PREFECT_PROFILE", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "user"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
async def settings(tmp_path):
    chosen = Settings(home=tmp_path / "home", server_start_timeout_s=20)
    yield chosen
    await server.stop(chosen, force=True)


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    def install(text=STAND_IN):
        (tmp_path / "stand_in_server.py").write_text(textwrap.dedent(text))

    monkeypatch.setattr(server, "SERVER_MODULE", "stand_in_server")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    install()
    return install


async def test_starters_share_one_server_and_stop_ends_it(settings, stand_in):
    first, second = await asyncio.gather(server.ensure_api(settings), server.ensure_api(settings))
    again = await server.start(settings)

    assert first.url == second.url == again.url
    assert [first.started, second.started].count(True) == 1
    assert first.ours
    assert not again.started
    state = (await server.status(settings)).state
    assert state is not None
    assert os.getsid(state.pid) != os.getsid(0)
    assert await server.stop(settings)
    assert not await server.stop(settings)
    assert not (await server.status(settings)).running


async def test_a_lease_keeps_the_server_from_ending(settings, stand_in):
    short = settings.model_copy(update={"server_idle_s": 0.3})
    files = server.server_files(short)
    async with server.lease(short):
        await asyncio.sleep(1.0)
        assert (await server.status(short)).in_use
        with pytest.raises(ServerError, match="is using"):
            await server.stop(short)
    await eventually(lambda: not files.server_lives(), timeout_s=10)

    assert not files.state.exists()
    assert "the server ends" in files.log.read_text()


async def test_a_server_that_is_killed_is_there_again_at_its_address(settings, stand_in, monkeypatch):
    monkeypatch.setattr(server_keeping, "INTERVAL_S", 0.05)
    async with server.lease(settings) as endpoint, kept(endpoint, settings):
        files = server.server_files(settings)
        killed = int(files.pid.read_text())
        os.kill(killed, signal.SIGKILL)
        await eventually(lambda: not files.server_lives())
        await eventually(lambda: (found := read_state(files)) is not None and found.pid != killed)
        again = read_state(files)
        assert (again.api_url, files.server_lives()) == (endpoint.url, True)
        await asyncio.sleep(0.3)
        assert read_state(files).pid == again.pid


async def test_a_server_that_cannot_start_again_is_told_of_once(settings, stand_in, monkeypatch, caplog):
    starts = []

    async def start(settings):
        starts.append(settings)
        raise ServerError("there is no room for it.")

    monkeypatch.setattr(server_keeping, "start", start)
    monkeypatch.setattr(server_keeping, "INTERVAL_S", 0.01)
    monkeypatch.setattr(server_keeping, "GRACE_S", 0.01)
    async with server.lease(settings) as endpoint, kept(endpoint, settings):
        os.kill(int(server.server_files(settings).pid.read_text()), signal.SIGKILL)
        await eventually(lambda: len(starts) > 2)
    assert [record.getMessage() for record in caplog.records] == ["there is no room for it."]


async def test_a_server_that_is_stopped_stays_so(settings, stand_in, monkeypatch):
    monkeypatch.setattr(server_keeping, "INTERVAL_S", 0.02)
    async with server.lease(settings) as endpoint, kept(endpoint, settings):
        assert await server.stop(settings, force=True)
        await asyncio.sleep(1.0)
        assert not (await server.status(settings)).running


async def test_a_server_takes_another_port_where_that_of_a_killed_one_is_taken(settings, stand_in):
    first = await server.start(settings)
    files = server.server_files(settings)
    os.kill(int(files.pid.read_text()), signal.SIGKILL)
    await eventually(lambda: not files.server_lives())
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", last_port(files)))
        other.listen()
        assert (await server.start(settings)).url != first.url


async def test_another_prefects_server_is_replaced_unless_used(settings, stand_in, monkeypatch):
    async with server.lease(settings) as old:
        monkeypatch.setattr(server, "version", lambda _: "99")
        assert (await server.start(settings)).url == old.url

    assert (await server.start(settings)).started


@pytest.fixture
def elsewhere(monkeypatch):
    """Let what this process does next be done on another machine, or in another container."""

    def move(**changed):
        moved = replace(Machine.own(), hostname="elsewhere", **changed)
        monkeypatch.setattr(Machine, "own", classmethod(lambda _: moved))

    return move


ANOTHER_MACHINE = {"boot_id": "another"}
ANOTHER_CONTAINER = {"processes": "pid:[1]", "network": "net:[1]"}


@pytest.mark.parametrize(
    ("moved", "told"), [(ANOTHER_MACHINE, "another machine"), (ANOTHER_CONTAINER, "another container")]
)
async def test_a_server_of_another_machine_is_neither_asked_nor_ended(
    settings, stand_in, monkeypatch, elsewhere, moved, told
):
    await server.start(settings)
    own = Machine.own()
    elsewhere(**moved)
    for refused in (server.start(settings), server.stop(settings, force=True)):
        with pytest.raises(ServerError, match=f"runs on {own.hostname} .{told}") as raised:
            await refused
        assert "CWL_PREFECT_HOME" in (raised.value.hint or "")
    found = await server.status(settings)
    assert (found.running, found.healthy) == (True, False)
    assert told in (found.out_of_reach or "")
    monkeypatch.setattr(Machine, "own", classmethod(lambda _: own))
    assert not (await server.start(settings)).started


async def test_a_container_in_the_same_network_uses_the_server_and_does_not_end_it(settings, stand_in, elsewhere):
    first = await server.start(settings)
    own = Machine.own()
    elsewhere(processes="pid:[1]")
    assert (await server.start(settings)).url == first.url
    with pytest.raises(ServerError, match="cannot be ended from here"):
        await server.stop(settings)
    elsewhere(processes=own.processes)
    assert await server.stop(settings)


@pytest.mark.parametrize("text", [None, "{", '{"pid": 1}', "[]"], ids=["none", "torn", "of another", "no object"])
async def test_a_server_that_did_not_say_where_it_runs_is_used_and_ended(settings, stand_in, elsewhere, text):
    first = await server.start(settings)
    path = server.server_files(settings).machine
    path.unlink() if text is None else path.write_text(text)
    elsewhere(**ANOTHER_MACHINE)
    assert (await server.start(settings)).url == first.url
    assert await server.stop(settings)


async def test_a_server_that_ends_at_once_is_told_with_its_reason(settings, stand_in):
    stand_in(STAND_IN.replace("lambda final: application", "lambda final: 1 / 0"))

    with pytest.raises(ServerError, match="ended while it was starting") as raised:
        await server.start(settings)

    assert "ZeroDivisionError: division by zero" in raised.value.message
    assert "Traceback" not in raised.value.message
    assert str(server.logs_path(settings)) in (raised.value.hint or "")


async def test_a_process_that_does_not_start_is_told(settings, stand_in):
    stand_in("import sys; sys.exit('no such thing')")

    with pytest.raises(ServerError, match="exit status 1\\.\n    no such thing"):
        await server.start(settings)


async def test_a_server_that_never_answers_is_told(settings, stand_in):
    stand_in(STAND_IN.replace("lambda final: application", "lambda final: __import__('time').sleep(60)"))

    with pytest.raises(ServerError, match="did not answer in 1 seconds"):
        await server.start(settings.model_copy(update={"server_start_timeout_s": 1.0}))


async def test_a_port_in_use_is_told(settings):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(ServerError, match=f"cannot listen on port {port}"):
            await server.start(settings.model_copy(update={"server_port": port}))


async def test_a_home_that_cannot_be_written_is_told():
    with pytest.raises(ServerError, match="cannot use"):
        await server.start(Settings(home="/proc/nowhere"))


async def test_another_starter_is_waited_for_but_not_for_ever(settings):
    files = server.server_files(settings)
    starting = try_lock(files.starting)
    assert starting is not None

    with pytest.raises(ServerError, match="Another process"):
        await server.start(settings.model_copy(update={"server_start_timeout_s": 0.2}))

    starting.release()


@pytest.fixture
def answering():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}/api"
        listening.shutdown()


async def test_a_configured_api_is_used_and_none_is_started(settings, monkeypatch, answering):
    monkeypatch.setenv("PREFECT_API_URL", answering)

    async with server.lease(settings) as endpoint:
        assert endpoint.url == answering
        assert endpoint.ui_url == answering.removesuffix("/api")
        assert not endpoint.ours
    assert not settings.home.exists()


async def test_a_configured_api_that_does_not_answer_is_told(settings, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")

    with pytest.raises(ServerError, match=r"http://127\.0\.0\.1:1/api does not answer") as raised:
        await server.ensure_api(settings)

    assert "PREFECT_API_URL" in (raised.value.hint or "")


async def test_a_remote_api_is_left_to_prefect(settings, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "https://api.prefect.cloud/api/accounts/a/workspaces/w")

    endpoint = await server.ensure_api(settings)

    assert endpoint.ui_url == "https://app.prefect.cloud/account/a/workspace/w"


def test_an_api_of_unknown_shape_has_no_known_pages():
    assert server.ui_address("http://host/prefix/api") == "http://host/prefix"
    assert server.ui_address("http://host/elsewhere") is None


def test_the_servers_environment_is_tuned_and_free_of_the_users_prefect(settings, monkeypatch):
    monkeypatch.setenv("PREFECT_API_KEY", "secret")
    monkeypatch.setenv("PATH", "/bin")

    environment = server._server_environment(server.server_files(settings), 4711)

    assert "PREFECT_API_KEY" not in environment
    assert environment["PATH"] == "/bin"
    assert environment["PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE"] == "100"
    assert environment["PREFECT_UI_API_URL"] == "http://127.0.0.1:4711/api"


def test_the_database_is_ready_made_and_never_overwritten(tmp_path):
    database = tmp_path / "new" / "prefect.db"

    assert prepare_database(database)
    assert is_known_revision(revision_of(database))
    database.write_bytes(b"history")
    assert not prepare_database(database)
    assert database.read_bytes() == b"history"


def test_a_database_of_a_newer_prefect_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr("cwl_prefect.flows.server_database.is_known_revision", lambda _: False)

    assert not prepare_database(tmp_path / "prefect.db")
    assert list(tmp_path.iterdir()) == []
