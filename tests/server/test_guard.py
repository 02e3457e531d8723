"""What the local server gives to others: another user of the machine, and pages of another site in a browser."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from playwright.async_api import async_playwright

from cwl_prefect.errors import ServerError
from cwl_prefect.server import local_server
from cwl_prefect.server.local_server import ApiEndpoint
from cwl_prefect.settings import Settings
from tests.deployments.browser import chromium
from tests.prefect_api import local_api, post

pytestmark = pytest.mark.server

NOBODY = 65534
ASK = """
import encodings.idna, http.client, os, pathlib, sys
host, record, user = sys.argv[1:]
os.setgroups([])
os.setgid(int(user))
os.setuid(int(user))
connection = http.client.HTTPConnection(host)
connection.request("POST", "/api/flow_runs/filter", "{}", {"Content-Type": "application/json"})
print(connection.getresponse().status)
try:
    print(pathlib.Path(record).read_text())
except PermissionError:
    print("refused")
"""
PAGE = """
<script>
  const api = "API";
  const asked = (options) => fetch(api + "/flows/filter", {method: "POST", body: "{}", ...options})
    .then((answer) => answer.text().then((text) => "read " + answer.status + text), () => "nothing");
  const listening = new Promise((resolve) => {
    const socket = new WebSocket(api.replace("http", "ws") + "/events/in", ["prefect"]);
    socket.onopen = () => resolve("open");
    socket.onerror = () => resolve("nothing");
  });
  const json = {headers: {"Content-Type": "application/json"}};
  Promise.all([asked({}), asked(json), asked({credentials: "include"}), listening])
    .then((found) => { document.title = found.join(); });
</script>
"""


@pytest.fixture
async def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Settings]:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.delenv("PREFECT_PROFILE", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "user"))
    monkeypatch.chdir(tmp_path)
    chosen = Settings(home=tmp_path / "home")
    yield chosen
    with suppress(ServerError):
        await local_server.stop(chosen, force=True)


@pytest.fixture
async def endpoint(settings: Settings) -> ApiEndpoint:
    started = await local_server.start(settings)
    await asyncio.to_thread(post, f"{local_api(settings.home)}/flows/", {"name": "private"})
    return started


@pytest.fixture
def other_site(endpoint: ApiEndpoint, tmp_path: Path) -> Iterator[str]:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text(PAGE.replace("API", endpoint.url))
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
async def test_another_user_of_the_machine_gets_nothing(settings: Settings, endpoint: ApiEndpoint) -> None:
    record = local_server.server_files(settings).record
    for place in settings.home.parents[:-2]:
        place.chmod(place.stat().st_mode | 0o001)  # the way to the home; not into it
    host = (endpoint.ui_url or "").removeprefix("http://")
    command = [sys.executable, "-c", ASK, host, str(record), str(NOBODY)]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)

    assert asked.stdout.split() == ["401", "refused"], asked.stderr


async def test_a_page_of_another_site_gets_nothing_though_its_user_is_logged_in(
    settings: Settings, endpoint: ApiEndpoint, other_site: str
) -> None:
    opened = local_server.open_address(settings, f"{endpoint.ui_url}/flows")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        page = await browser.new_page()
        await page.goto(opened)
        await page.get_by_text("private").first.wait_for()
        assert "#" not in page.url
        await page.goto(other_site)
        await page.wait_for_function("document.title")
        assert await page.title() == "nothing,nothing,nothing,nothing"
        await browser.close()


async def test_the_ui_shows_nothing_without_the_secret(endpoint: ApiEndpoint) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        page = await browser.new_page()
        await page.goto(f"{endpoint.ui_url}/flows")
        await page.wait_for_url("**/login**")
        await browser.close()


async def test_a_name_that_leads_to_this_machine_gets_nothing(endpoint: ApiEndpoint) -> None:
    for path in ("/api/health", "/flows"):
        answer = httpx.get(f"{endpoint.ui_url}{path}", headers={"Host": "rebound.example"})
        assert answer.status_code == 403
