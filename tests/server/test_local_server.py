"""The local server for real: shared, detached, ended when idle."""

import asyncio
import os
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import httpx
import psutil
import pytest

from cwl_prefect.errors import ServerError
from cwl_prefect.server import local_server
from cwl_prefect.server.database import TEMPLATE, prepare_database, revision_of
from cwl_prefect.settings import Settings
from tests.prefect_api import local_api, post, read
from tests.waiting import eventually

pytestmark = pytest.mark.server


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.delenv("PREFECT_PROFILE", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "user"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
async def settings(tmp_path: Path):
    chosen = Settings(home=tmp_path / "home")
    yield chosen
    with suppress(ServerError):
        await local_server.stop(chosen, force=True)


async def test_one_server_is_shared_by_starters_at_the_same_time(settings: Settings) -> None:
    endpoints = await asyncio.gather(*(local_server.ensure_api(settings) for _ in range(3)))

    assert len({endpoint.url for endpoint in endpoints}) == 1
    assert [endpoint.started for endpoint in endpoints].count(True) == 1
    assert read(f"{endpoints[0].url}/health") is True
    assert httpx.get(endpoints[0].ui_url or "", follow_redirects=True, timeout=60).status_code == 200
    assert "process_cpu_seconds_total" in httpx.get(f"{local_api(settings.home)}/metrics", timeout=60).text
    status = await local_server.status(settings)
    assert status.running
    assert status.healthy
    assert not status.in_use


async def test_starters_in_other_processes_share_it_and_it_outlives_them(settings: Settings) -> None:
    script = (
        "import asyncio; from pathlib import Path; from cwl_prefect.server import local_server;"
        "from cwl_prefect.settings import Settings;"
        f"print(asyncio.run(local_server.start(Settings(home=Path({str(settings.home)!r})))).url)"
    )
    starters = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    # communicate() returns at end of file: the server must not have inherited the pipe
    answers = {(await asyncio.to_thread(starter.communicate, timeout=60))[0] for starter in starters}

    assert len(answers) == 1
    status = await local_server.status(settings)
    assert status.healthy
    assert status.state is not None
    process = psutil.Process(status.state.pid)
    assert process.terminal() is None
    assert os.getsid(process.pid) not in (
        os.getsid(0),
        *(starter.pid for starter in starters if starter.poll() is None),
    )
    assert os.path.realpath(f"/proc/{process.pid}/fd/1") == str(local_server.logs_path(settings))


async def test_it_ends_when_idle_but_not_under_a_lease(settings: Settings) -> None:
    short = settings.model_copy(update={"server_idle_s": 1.0})
    async with local_server.lease(short) as endpoint:
        await asyncio.sleep(2.5)
        assert read(f"{endpoint.url}/health") is True
        assert (await local_server.status(short)).in_use
        with pytest.raises(ServerError, match="is using"):
            await local_server.stop(short)
    files = local_server.server_files(short)

    await eventually(lambda: not files.server_lives())

    assert files.record.read_text() == ""
    async with local_server.lease(short) as again:
        assert again.started


async def test_a_killed_server_is_replaced_and_keeps_its_history(settings: Settings) -> None:
    first = await local_server.start(settings)
    post(f"{local_api(settings.home)}/flows/", {"name": "kept"})
    state = (await local_server.status(settings)).state
    assert state is not None
    psutil.Process(state.pid).kill()
    await eventually(lambda: not local_server.server_files(settings).server_lives())

    second = await local_server.start(settings)

    assert second.started
    assert second.auth == first.auth
    assert read(f"{local_api(settings.home)}/flows/name/kept")["name"] == "kept"


async def test_stop_ends_it_and_says_whether_there_was_one(settings: Settings) -> None:
    assert not await local_server.stop(settings)
    await local_server.start(settings)

    assert await local_server.stop(settings)
    assert not (await local_server.status(settings)).running


async def test_a_server_of_another_prefect_is_replaced_unless_used(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with local_server.lease(settings) as old:
        monkeypatch.setattr(local_server, "PREFECT_VERSION", "99.0")
        assert (await local_server.start(settings)).url == old.url

    new = await local_server.start(settings)

    assert new.started


async def test_a_broken_database_is_told_with_the_log(settings: Settings) -> None:
    files = local_server.server_files(settings)
    files.prefect_home.mkdir(parents=True)
    files.database.write_text("this is no database, but long enough to look like one" * 100)

    with pytest.raises(ServerError, match="ended while it was starting") as raised:
        await local_server.start(settings)

    assert "not a database" in raised.value.message
    assert str(files.log) in (raised.value.hint or "")


def test_the_shipped_database_is_the_installed_prefects(tmp_path: Path) -> None:
    database = tmp_path / "prefect.db"
    assert prepare_database(database)
    shipped = revision_of(database)
    package = find_spec("prefect")
    assert package is not None
    assert package.origin is not None
    migrations = Path(package.origin).parent / "server/database/_migrations/versions/sqlite"

    newest = max(migrations.glob("2*.py")).name.split("_")[4]

    assert shipped == newest, f"write {TEMPLATE.name} anew: python -m cwl_prefect.server.database"
