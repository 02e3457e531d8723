import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import UUID

import pytest
from prefect import get_client
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY, PREFECT_API_URL, temporary_settings

from cwl_prefect.errors import ServerError
from cwl_prefect.runs.records import asking
from cwl_prefect.server import client
from cwl_prefect.server.client import LocalApi, posting

QUESTION = {"flow_runs": {"tags": {"all_": ["cwl-prefect"]}}, "limit": 1}
RUN = {"id": str(UUID(int=7)), "name": "brave-otter", "tags": ["night"], "state": None, "labels": {}}


@contextmanager
def answering(*statuses: int):
    """Serve an API that answers about runs with these statuses in turn; give its address, and what it was sent."""
    sent, left = [], list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer(404, b"{}")

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sent.append((self.path, json.loads(body), self.headers))
            self.answer(left.pop(0), json.dumps([RUN]).encode())

        def answer(self, status, body):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api", sent
        server.shutdown()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(client, "PAUSE_S", 0.01)


@pytest.mark.parametrize("statuses", [(200,), (503, 429, 200)], ids=["at-once", "after-a-while"])
async def test_the_local_server_is_asked_until_it_has_time(statuses):
    with answering(*statuses) as (url, sent):
        (run,) = await asking(LocalApi(url=url).post)(QUESTION)
    assert (run.id, run.name, run.tags, run.state) == (UUID(int=7), "brave-otter", ("night",), None)
    assert [(path, body) for path, body, _ in sent] == [("/api/flow_runs/filter", QUESTION)] * len(statuses)
    assert sent[0][2]["User-Agent"] == "cwl-prefect"  # it counts as a use


async def test_what_will_not_pass_is_told_at_once():
    with answering(500) as (url, _), pytest.raises(ServerError, match="it answers 500"):
        await asking(LocalApi(url=url).post)(QUESTION)


async def test_a_server_that_stays_away_is_told(monkeypatch):
    monkeypatch.setattr(client, "PATIENCE_S", 0.05)
    with answering() as (url, _):
        pass
    with pytest.raises(ServerError, match="ConnectionRefusedError"):
        await asking(LocalApi(url=url).post)(QUESTION)


@pytest.mark.parametrize(
    ("configured", "sent_as"),
    [({PREFECT_API_KEY: "pnu_1"}, "Bearer pnu_1"), ({PREFECT_API_AUTH_STRING: "me:secret"}, "Basic bWU6c2VjcmV0")],
    ids=["key", "auth-string"],
)
async def test_a_configured_api_is_asked_as_prefect_asks_it(configured, sent_as):
    with answering(200) as (url, sent), temporary_settings({PREFECT_API_URL: url, **configured}):
        async with get_client() as prefect:
            (run,) = await asking(posting(prefect))(QUESTION)
    assert run.name == "brave-otter"
    assert (sent[0][0], sent[0][1], sent[0][2]["Authorization"]) == ("/api/flow_runs/filter", QUESTION, sent_as)
