"""The local server's life, with a small application in Prefect's place."""

import asyncio
import os
import signal
import socket
import textwrap
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cwl_prefect._lib.file_lock import try_lock
from cwl_prefect.errors import ServerError
from cwl_prefect.server import keeping, launch, local_server
from cwl_prefect.server.database import is_known_revision, prepare_database, revision_of
from cwl_prefect.server.keeping import kept
from cwl_prefect.server.machine import Machine
from cwl_prefect.server.state import last_state, read_state
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

    from cwl_prefect.server.process import main

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
    await local_server.stop(chosen, force=True)


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    def install(text=STAND_IN):
        (tmp_path / "stand_in_server.py").write_text(textwrap.dedent(text))

    monkeypatch.setattr(launch, "SERVER_MODULE", "stand_in_server")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    install()
    return install


async def test_starters_share_one_server_and_stop_ends_it(settings, stand_in):
    first, second = await asyncio.gather(local_server.ensure_api(settings), local_server.ensure_api(settings))
    again = await local_server.start(settings)

    assert first.url == second.url == again.url
    assert [first.started, second.started].count(True) == 1
    assert first.ours
    assert not again.started
    state = (await local_server.status(settings)).state
    assert state is not None
    assert os.getsid(state.pid) != os.getsid(0)
    assert await local_server.stop(settings)
    assert not await local_server.stop(settings)
    assert not (await local_server.status(settings)).running


async def test_a_lease_keeps_the_server_from_ending(settings, stand_in):
    short = settings.model_copy(update={"server_idle_s": 0.3})
    files = local_server.server_files(short)
    async with local_server.lease(short):
        await asyncio.sleep(1.0)
        assert (await local_server.status(short)).in_use
        with pytest.raises(ServerError, match="is using"):
            await local_server.stop(short)
    await eventually(lambda: not files.server_lives(), timeout_s=10)

    assert files.record.read_text() == ""
    assert "the server ends" in files.log.read_text()


async def test_a_server_that_is_killed_is_there_again_at_its_address(settings, stand_in, monkeypatch):
    monkeypatch.setattr(keeping, "INTERVAL_S", 0.05)
    async with local_server.lease(settings) as endpoint, kept(endpoint, settings):
        files = local_server.server_files(settings)
        killed = read_state(files).pid
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

    monkeypatch.setattr(keeping, "start", start)
    monkeypatch.setattr(keeping, "INTERVAL_S", 0.01)
    monkeypatch.setattr(keeping, "GRACE_S", 0.01)
    async with local_server.lease(settings) as endpoint, kept(endpoint, settings):
        os.kill(read_state(local_server.server_files(settings)).pid, signal.SIGKILL)
        await eventually(lambda: len(starts) > 2)
    assert [record.getMessage() for record in caplog.records] == ["there is no room for it."]


async def test_a_server_that_is_stopped_stays_so(settings, stand_in, monkeypatch):
    monkeypatch.setattr(keeping, "INTERVAL_S", 0.02)
    async with local_server.lease(settings) as endpoint, kept(endpoint, settings):
        assert await local_server.stop(settings, force=True)
        await asyncio.sleep(1.0)
        assert not (await local_server.status(settings)).running


async def test_each_server_has_a_secret_of_its_own_that_its_starter_knows(settings, stand_in):
    first = await local_server.start(settings)
    files = local_server.server_files(settings)
    assert (first.auth or "").startswith("cwl-prefect:")
    assert (await local_server.start(settings)).auth == first.auth
    assert files.record.stat().st_mode & 0o077 == 0
    command_line = Path("/proc", str(read_state(files).pid), "cmdline").read_text()
    secret = first.auth.partition(":")[2]
    for told in (command_line, files.log.read_text(), repr(first), repr(read_state(files))):
        assert secret not in told
    await local_server.stop(settings)
    assert (await local_server.start(settings)).auth != first.auth


async def test_a_server_after_a_killed_one_demands_the_same_as_runs_go_on(settings, stand_in):
    first = await local_server.start(settings)
    files = local_server.server_files(settings)
    os.kill(read_state(files).pid, signal.SIGKILL)
    await eventually(lambda: not files.server_lives())
    assert (await local_server.start(settings)).auth == first.auth


@pytest.mark.parametrize(("chosen", "auth"), [("me:mine", "me:mine"), ("", None)], ids=["own", "none"])
async def test_what_the_user_has_the_server_demand_is_demanded(settings, stand_in, monkeypatch, chosen, auth):
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", chosen)
    endpoint = await local_server.start(settings)
    assert endpoint.auth == auth
    assert endpoint.opened(f"{endpoint.ui_url}/runs") == f"{endpoint.ui_url}/runs"


async def test_a_page_opens_logged_in_by_what_no_browser_sends(settings, stand_in):
    endpoint = await local_server.start(settings)
    secret = endpoint.auth.partition(":")[2]
    page = f"{endpoint.ui_url}/runs/flow-run/1"
    assert local_server.open_address(settings, page) == f"{endpoint.ui_url}/open/runs/flow-run/1#{secret}"
    assert local_server.open_address(settings, "http://elsewhere/runs") == "http://elsewhere/runs"


async def test_the_ui_opens_logged_in_where_runs_use_the_server_by_themselves_or_as_configured(
    settings, stand_in, monkeypatch
):
    endpoint = await local_server.start(settings)
    address = f"{endpoint.ui_url}/open/#{endpoint.auth.partition(':')[2]}"
    assert await local_server.open_url(settings) == address
    monkeypatch.setenv("PREFECT_API_URL", endpoint.url)
    assert await local_server.open_url(settings) == address


@pytest.mark.parametrize("umask", [0o000, 0o777], ids=oct)
async def test_nobody_else_may_read_whatever_the_umask(settings, stand_in, umask):
    settings.home.mkdir(mode=0o700)
    before = os.umask(umask & 0o077)
    try:
        await local_server.start(settings)
    finally:
        os.umask(before)
    directory = local_server.server_files(settings).directory
    open_to_others = [path for path in (directory, *directory.rglob("*")) if path.stat().st_mode & 0o077]
    assert open_to_others == []


async def test_a_server_is_found_where_the_last_one_was_stopped(settings, stand_in):
    first = await local_server.start(settings)
    await local_server.stop(settings)
    assert (await local_server.start(settings)).url == first.url


@pytest.mark.parametrize("told", ["", "x", "-1", "99999999"])
async def test_a_server_starts_whatever_the_port_of_the_last_one_is_said_to_be(settings, stand_in, told):
    port = local_server.server_files(settings).port
    port.parent.mkdir(parents=True)
    port.write_text(told)
    assert (await local_server.start(settings)).started


async def test_a_server_takes_another_port_where_that_of_a_killed_one_is_taken(settings, stand_in):
    first = await local_server.start(settings)
    files = local_server.server_files(settings)
    os.kill(read_state(files).pid, signal.SIGKILL)
    await eventually(lambda: not files.server_lives())
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", last_state(files).port))
        other.listen()
        assert (await local_server.start(settings)).url != first.url


async def test_another_prefects_server_is_replaced_unless_used(settings, stand_in, monkeypatch):
    async with local_server.lease(settings) as old:
        monkeypatch.setattr(local_server, "PREFECT_VERSION", "99")
        assert (await local_server.start(settings)).url == old.url

    assert (await local_server.start(settings)).started


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
    await local_server.start(settings)
    own = Machine.own()
    elsewhere(**moved)
    for refused in (local_server.start(settings), local_server.stop(settings, force=True)):
        with pytest.raises(ServerError, match=f"runs on {own.hostname} .{told}") as raised:
            await refused
        assert "CWL_PREFECT_HOME" in (raised.value.hint or "")
    found = await local_server.status(settings)
    assert (found.running, found.healthy) == (True, False)
    assert told in (found.out_of_reach or "")
    monkeypatch.setattr(Machine, "own", classmethod(lambda _: own))
    assert not (await local_server.start(settings)).started


async def test_a_container_in_the_same_network_uses_the_server_and_does_not_end_it(settings, stand_in, elsewhere):
    first = await local_server.start(settings)
    own = Machine.own()
    elsewhere(processes="pid:[1]")
    assert (await local_server.start(settings)).url == first.url
    with pytest.raises(ServerError, match="cannot be ended from here"):
        await local_server.stop(settings)
    elsewhere(processes=own.processes)
    assert await local_server.stop(settings)


async def test_a_server_that_ends_at_once_is_told_with_its_reason(settings, stand_in):
    stand_in(STAND_IN.replace("lambda final: application", "lambda final: 1 / 0"))

    with pytest.raises(ServerError, match="ended while it was starting") as raised:
        await local_server.start(settings)

    assert "ZeroDivisionError: division by zero" in raised.value.message
    assert "Traceback" not in raised.value.message
    assert str(local_server.logs_path(settings)) in (raised.value.hint or "")


async def test_a_process_that_does_not_start_is_told(settings, stand_in):
    stand_in("import sys; sys.exit('no such thing')")

    with pytest.raises(ServerError, match="exit status 1\\.\n    no such thing"):
        await local_server.start(settings)


async def test_a_server_that_never_answers_is_told(settings, stand_in):
    stand_in(STAND_IN.replace("lambda final: application", "lambda final: __import__('time').sleep(60)"))

    with pytest.raises(ServerError, match="did not answer in 1 seconds"):
        await local_server.start(settings.model_copy(update={"server_start_timeout_s": 1.0}))


async def test_a_port_in_use_is_told(settings):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(ServerError, match=f"cannot listen on port {port}"):
            await local_server.start(settings.model_copy(update={"server_port": port}))


async def test_a_home_that_cannot_be_written_is_told():
    with pytest.raises(ServerError, match="cannot use"):
        await local_server.start(Settings(home="/proc/nowhere"))


async def test_another_starter_is_waited_for_but_not_for_ever(settings):
    files = local_server.server_files(settings)
    starting = try_lock(files.starting)
    assert starting is not None

    with pytest.raises(ServerError, match="Another process"):
        await local_server.start(settings.model_copy(update={"server_start_timeout_s": 0.2}))

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
        threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}/api"
        listening.shutdown()


async def test_a_configured_api_is_used_and_none_is_started(settings, monkeypatch, answering):
    monkeypatch.setenv("PREFECT_API_URL", answering)

    async with local_server.lease(settings) as endpoint:
        assert endpoint.url == answering
        assert endpoint.ui_url == answering.removesuffix("/api")
        assert not endpoint.ours
    assert not settings.home.exists()


async def test_a_configured_api_that_does_not_answer_is_told(settings, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")

    with pytest.raises(ServerError, match=r"http://127\.0\.0\.1:1/api does not answer") as raised:
        await local_server.ensure_api(settings)

    assert "PREFECT_API_URL" in (raised.value.hint or "")


async def test_a_remote_api_is_left_to_prefect(settings, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "https://api.prefect.cloud/api/accounts/a/workspaces/w")

    endpoint = await local_server.ensure_api(settings)

    assert endpoint.ui_url == "https://app.prefect.cloud/account/a/workspace/w"


def test_an_api_of_unknown_shape_has_no_known_pages():
    assert local_server.ui_address("http://host/prefix/api") == "http://host/prefix"
    assert local_server.ui_address("http://host/elsewhere") is None


def test_the_servers_environment_is_tuned_and_free_of_the_users_prefect(settings, monkeypatch):
    monkeypatch.setenv("PREFECT_API_KEY", "secret")
    monkeypatch.setenv("PATH", "/bin")

    monkeypatch.setenv("PREFECT_SERVER_API_MAX_PARAMETER_SIZE", "9")
    monkeypatch.setenv("PREFECT_SERVER_API_BASE_PATH", "/elsewhere")

    environment = launch.server_environment(local_server.server_files(settings), 4711, "cwl-prefect:s")

    assert "PREFECT_API_KEY" not in environment
    assert "PREFECT_SERVER_API_BASE_PATH" not in environment
    assert environment["PREFECT_SERVER_API_MAX_PARAMETER_SIZE"] == "9"
    assert environment["PREFECT_SERVER_API_AUTH_STRING"] == "cwl-prefect:s"
    assert environment["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] == "http://127.0.0.1:4711"
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
    monkeypatch.setattr("cwl_prefect.server.database.is_known_revision", lambda _: False)

    assert not prepare_database(tmp_path / "prefect.db")
    assert list(tmp_path.iterdir()) == []
