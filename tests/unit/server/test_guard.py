import pytest

from cwl_prefect.server.guard import Guard

OWN = "127.0.0.1:4711"


async def answered(scope, *origins):
    """Give what is sent on one connection, and whether the application saw it."""
    sent, seen = [], []

    async def application(*_):
        seen.append(True)

    async def send(message):
        sent.append(message)

    await Guard(application, frozenset(origins))(scope, None, send)
    return sent, bool(seen)


def connection(host=OWN, origin=None, kind="http", path="/api/flow_runs/filter"):
    headers = [(b"host", host.encode())] + ([(b"origin", origin.encode())] if origin is not None else [])
    return {"type": kind, "path": path, "headers": headers}


@pytest.mark.parametrize(
    "scope",
    [
        pytest.param(connection(), id="a-program"),
        pytest.param(connection(origin=f"http://{OWN}"), id="its-own-page"),
        pytest.param(connection("localhost:9", "http://localhost:9"), id="through-a-tunnel"),
        pytest.param(connection("[::1]:4711"), id="ipv6"),
        pytest.param(connection(kind="websocket", path="/api/events/in"), id="events"),
        pytest.param({"type": "lifespan"}, id="lifespan"),
    ],
)
async def test_programs_and_its_own_pages_are_admitted(scope):
    assert await answered(scope) == ([], True)


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("host", "origin"),
    [
        pytest.param(OWN, "https://evil.example", id="another-origin"),
        pytest.param(OWN, "http://127.0.0.1:3000", id="another-port"),
        pytest.param(OWN, "null", id="a-file-or-sandbox"),
        pytest.param("evil.example", "http://evil.example", id="rebound-name"),
        pytest.param("evil.example:4711", None, id="rebound-name-without-origin"),
        pytest.param("[", None, id="no-host"),
        pytest.param("", None, id="empty-host"),
    ],
)
async def test_pages_of_others_are_refused(kind, host, origin):
    sent, seen = await answered(connection(host, origin, kind))
    assert not seen
    assert sent[0].get("status", sent[0].get("code")) in (403, 1008)


@pytest.mark.parametrize("admitted", ["http://127.0.0.1:3000", "*"])
async def test_the_user_may_admit_other_origins(admitted):
    assert (await answered(connection(origin="http://127.0.0.1:3000"), admitted))[1]


async def test_the_page_that_logs_in_knows_no_secret_and_leads_nowhere_else():
    sent, seen = await answered(connection(path="/open//evil.example"))
    page = sent[1]["body"].decode()
    assert (sent[0]["status"], seen) == (200, False)
    assert "location.hash" in page
    assert "evil" not in page
