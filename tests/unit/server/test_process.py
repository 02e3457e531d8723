import asyncio
import socket
import sys
import types

import httpx
import pytest

from cwl_prefect._lib.file_lock import is_locked, lock, try_lock
from cwl_prefect.server import process
from cwl_prefect.server.configured_api import configured_api_url
from cwl_prefect.server.process import ALREADY_RUNNING, Activity, ServerOptions, main, serve, until_idle
from cwl_prefect.server.state import ServerFiles, ServerState, forget, is_killed, last_state, read_state

STATE = ServerState(pid=1, host="h", port=2, started_at=3.0, prefect_version="4", idle_s=5.0)


async def nothing(*_):
    return None


def request(agent):
    return {"type": "http", "path": "/api/health", "headers": [(b"user-agent", agent)]}


@pytest.mark.parametrize(
    ("scope", "counts"),
    [
        pytest.param(request(b"prefect/3.8.8 (API 0.8.4)"), True, id="prefect-client"),
        pytest.param(request(b"cwl-prefect"), True, id="our-own-probe"),
        pytest.param(request(b"Mozilla/5.0"), False, id="browser"),
        pytest.param({"type": "http", "path": "/"}, False, id="no-headers"),
        pytest.param({"type": "websocket", "path": "/api/events/in"}, True, id="events-of-a-run"),
        pytest.param({"type": "websocket", "path": "/api/events/out"}, False, id="events-for-a-browser"),
        pytest.param({"type": "lifespan"}, False, id="lifespan"),
    ],
)
async def test_only_what_runs_do_counts_as_use(scope, counts):
    activity = Activity(nothing, last_used=-1000.0)

    await activity(scope, nothing, nothing)

    assert (activity.last_used > -1000.0) is counts


async def test_a_connected_run_is_never_idle():
    inside = []

    async def application(*_):
        inside.append(activity.idle_s())

    activity = Activity(application, last_used=-1000.0)
    await activity({"type": "websocket", "path": "/api/events/in"}, nothing, nothing)

    assert inside == [0.0]


async def test_idleness_waits_for_leases_and_leaves_the_lease_locked(tmp_path):
    lease = tmp_path / "lease"
    held = try_lock(lease, shared=True)
    assert held is not None
    waiting = asyncio.create_task(until_idle(Activity(nothing, last_used=-1000.0), lease, 0.1))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    held.release()

    closing = await asyncio.wait_for(waiting, 5)

    assert try_lock(lease, shared=True) is None
    closing.release()


async def test_locks_are_shared_or_not_and_waited_for(tmp_path):
    path = tmp_path / "deep" / "lock"
    assert not is_locked(path)
    first, second = try_lock(path, shared=True), try_lock(path, shared=True)
    assert first is not None
    assert second is not None
    assert try_lock(path) is None
    assert is_locked(path)
    assert await lock(path, timeout_s=0.1) is None
    first.release()
    second.release()
    held = await lock(path, timeout_s=1)
    assert held is not None
    held.write("a longer text")
    held.write("text")
    assert path.read_text() == "text"
    held.release()
    assert not is_locked(path)


def test_a_lock_is_never_taken_through_a_link(tmp_path):
    (tmp_path / "target").write_text("precious")
    (tmp_path / "lock").symlink_to(tmp_path / "target")

    with pytest.raises(OSError, match="symbolic link"):
        try_lock(tmp_path / "lock")


def test_a_state_counts_only_while_its_server_lives(tmp_path):
    files = ServerFiles(tmp_path)
    alive = try_lock(files.record)
    assert alive is not None
    alive.write(STATE.encode())

    assert not is_killed(files)
    assert read_state(files) == STATE
    assert STATE.api_url == "http://h:2/api"
    for other in ("{damaged", '{"other": 1}', "[]", '{"machine": {}}'):
        alive.write(other)
        assert read_state(files) is None
    alive.write(STATE.encode())
    alive.release()
    assert (read_state(files), last_state(files), is_killed(files)) == (None, STATE, True)
    forget(files)
    assert not is_killed(files)


@pytest.mark.parametrize("after_kill", [False, True])
async def test_the_server_serves_until_nobody_needs_it(tmp_path, monkeypatch, capsys, after_kill):
    asked = []

    async def close(post):
        asked.append(post.__self__.url)

    monkeypatch.setattr(process, "close_after_kill", close)
    module = types.ModuleType("prefect.server.api.server")
    monkeypatch.setattr(module, "create_app", lambda final: application, raising=False)
    for name in ("prefect", "prefect.server", "prefect.server.api"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    files = ServerFiles(tmp_path)
    options = ServerOptions(
        directory=str(tmp_path), host="h", port=port, descriptor=listener.detach(), idle_s=0.5, prefect_version="3"
    )
    assert ServerOptions.decode(options.encode()) == options

    serving = asyncio.create_task(serve(options, files, after_kill=after_kill))
    await asyncio.sleep(0.2)
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{port}/")).text == "true"

    await asyncio.wait_for(serving, 10)
    assert "the server ends" in capsys.readouterr().err
    assert asked == ([f"http://h:{port}/api"] if after_kill else [])


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"true"})


def test_a_second_server_does_not_start(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "lock", lambda path, **_: lock(path, timeout_s=0.1))
    held = try_lock(ServerFiles(tmp_path).record)
    assert held is not None
    options = ServerOptions(directory=str(tmp_path), host="h", port=1, descriptor=0, idle_s=0, prefect_version="3")
    monkeypatch.setattr("sys.argv", ["server", options.encode()])

    assert main() == ALREADY_RUNNING
    held.release()


URL = "http://configured/api"
PROFILES = f'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "{URL}"\n[profiles.other]\nX = "1"\n'


@pytest.mark.parametrize(
    ("files", "environment", "expected"),
    [
        pytest.param({}, {}, None, id="nothing"),
        pytest.param({}, {"PREFECT_API_URL": URL}, URL, id="environment"),
        pytest.param({".env": "HOST=configured\nPREFECT_API_URL=http://${HOST}/api"}, {}, URL, id="expanded"),
        pytest.param({".env": f"# x\nexport PREFECT_API_URL='{URL}'\n"}, {}, URL, id="dotenv"),
        pytest.param({"prefect.toml": f'[api]\nurl = "{URL}"'}, {}, URL, id="prefect-toml"),
        pytest.param({"pyproject.toml": f'[tool.prefect.api]\nurl = "{URL}"'}, {}, URL, id="pyproject"),
        pytest.param({"home/profiles.toml": PROFILES}, {}, URL, id="active-profile"),
        pytest.param({"home/profiles.toml": PROFILES}, {"PREFECT_PROFILE": "other"}, None, id="chosen-profile"),
        pytest.param({"p.toml": PROFILES}, {"PREFECT_PROFILES_PATH": "p.toml"}, URL, id="profiles-path"),
        pytest.param({"prefect.toml": "not toml ["}, {}, None, id="damaged"),
        pytest.param({"prefect.toml": "api = 1"}, {}, None, id="wrong-shape"),
        pytest.param({"home/profiles.toml": 'active = "gone"'}, {}, None, id="no-such-profile"),
    ],
)
def test_the_configured_api_is_found_as_prefect_finds_it(tmp_path, monkeypatch, files, environment, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    assert configured_api_url({"PREFECT_HOME": "home", **environment}, tmp_path) == expected
