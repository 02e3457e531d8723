import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from prefect import Flow
from prefect.context import TagsContext
from prefect.settings import PREFECT_API_URL, temporary_settings

from cwl_prefect.flows import connected as connecting
from cwl_prefect.flows.connected import ConnectedFlow
from cwl_prefect.flows.server import ApiEndpoint
from cwl_prefect.settings import Settings

OURS = "http://127.0.0.1:1/api"


@pytest.fixture
def leases(monkeypatch, tmp_path):
    """Stand for the local server, and for Prefect's engine, which gives the API's address as its result."""
    open_leases: list[str] = []

    @asynccontextmanager
    async def lease(settings):
        open_leases.append("begun")
        yield ApiEndpoint(url=OURS, ui_url="http://127.0.0.1:1", ours=True, started=False)
        open_leases.append("ended")

    async def engine(self, *args, **kwargs):
        assert TagsContext.get().current_tags == {"cwl-prefect"}
        return PREFECT_API_URL.value(), args, kwargs

    monkeypatch.setattr(connecting, "lease", lease)
    monkeypatch.setattr(Flow, "__call__", engine)
    return open_leases


@pytest.fixture
def flow(tmp_path):
    async def body(message: str) -> str:
        return message

    return ConnectedFlow.of(lambda _: body, Settings(home=tmp_path), name="said")


async def test_without_a_configured_api_a_call_runs_on_the_local_server(flow, leases):
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        address, _, given = await flow(message="hi", return_state=True)
    assert address == OURS
    assert given == {"message": "hi", "return_state": True}
    assert leases == ["begun", "ended"]


async def test_a_configured_api_is_used_as_it_is(flow, leases):
    with temporary_settings(updates={PREFECT_API_URL: "http://elsewhere/api"}):
        address, positional, _ = await flow("hi")
    assert (address, positional) == ("http://elsewhere/api", ("hi",))
    assert leases == []


async def test_one_with_other_options_runs_there_too(flow, leases):
    other = flow.with_options(name="other", retries=2)
    assert (other.name, other.retries, flow.name) == ("other", 2, "said")
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        address, _, _ = await other(message="hi")
    assert address == OURS


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({"refresh_cache": True}, (("*",), 60.0)),
        ({"refresh_cache": False}, ((), 60.0)),
        ({"cache_expiration": timedelta(days=1)}, (("align",), 86400.0)),
        ({"name": "other"}, (("align",), 60.0)),
    ],
    ids=repr,
)
def test_options_for_the_cache_of_its_tasks_become_settings(tmp_path, options, changed):
    def body_of(settings):
        async def body():
            return settings.refresh, settings.cache_expiration_s

        return body

    flow = ConnectedFlow.of(body_of, Settings(home=tmp_path, refresh=("align",), cache_expiration_s=60), name="said")
    assert asyncio.run(flow.with_options(**options).fn()) == changed
    assert asyncio.run(flow.fn()) == (("align",), 60.0)
