import asyncio
import ssl
from contextlib import asynccontextmanager
from datetime import timedelta
from enum import StrEnum
from pathlib import PurePosixPath
from urllib.request import proxy_bypass

import pytest
from prefect import Flow
from prefect.context import TagsContext
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

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


class TestSettings:
    """On the local server Prefect's clients do nothing that it does not need."""

    @pytest.fixture
    async def settings(self, leases, tmp_path):
        with temporary_settings(updates={"client.max_retries": 7}, restore_defaults={PREFECT_API_URL}):
            async with connecting.connected(Settings(home=tmp_path)):
                yield get_current_settings()

    async def test_the_local_server_and_its_pages_are_used(self, settings):
        assert (settings.api.url, settings.ui_url) == (OURS, "http://127.0.0.1:1")

    async def test_what_else_was_set_stays(self, settings):
        assert settings.client.max_retries == 7

    async def test_a_process_that_is_started_gets_them(self, settings):
        variables = settings.to_environment_variables(exclude_unset=True)
        assert variables["PREFECT_API_URL"] == OURS
        assert variables["PREFECT_UI_URL"] == "http://127.0.0.1:1"

    async def test_no_token_is_asked_for(self, settings):
        assert not settings.client.csrf_support_enabled

    async def test_nobody_is_trusted_who_could_sign_a_certificate(self, settings):
        (authority,) = ssl.create_default_context(cafile=settings.api.ssl_cert_file).get_ca_certs()
        assert authority["subject"] == ((("commonName", "nobody"),),)

    async def test_no_proxy_leads_to_this_machine(self, monkeypatch, leases, tmp_path):
        monkeypatch.setenv("http_proxy", "http://proxy.example.org")
        monkeypatch.setenv("no_proxy", "")
        async with connecting.connected(Settings(home=tmp_path)):
            assert proxy_bypass("127.0.0.1")

    async def test_they_end_with_the_run(self, leases, tmp_path):
        before = get_current_settings()
        async with connecting.connected(Settings(home=tmp_path)):
            pass
        assert get_current_settings() is before

    async def test_a_configured_api_keeps_its_own(self, monkeypatch, tmp_path):
        @asynccontextmanager
        async def lease(settings):
            yield ApiEndpoint(url="https://elsewhere/api", ui_url=None, ours=False, started=False)

        monkeypatch.setattr(connecting, "lease", lease)
        before = get_current_settings()
        async with connecting.connected(Settings(home=tmp_path)):
            assert get_current_settings() is before


class TestParameters:
    def test_json_is_shown_as_it_is(self, flow):
        given = {"files": [{"class": "File", "size": 3}], "none": None, "share": 0.5, "really": True}
        assert flow.serialize_parameters(given) == given

    def test_what_is_nested_too_deeply_is_left_to_prefect(self, flow):
        deep: list[object] = []
        for _ in range(100_000):
            deep = [deep]
        assert flow.serialize_parameters({"deep": deep}) == {"deep": "<list>"}

    def test_what_is_no_json_is_left_to_prefect(self, flow):
        assert flow.serialize_parameters({"place": PurePosixPath("/in"), "kind": Kind.FAST}) == {
            "place": "/in",
            "kind": "fast",
        }
        assert type(flow.serialize_parameters({"kind": Kind.FAST})["kind"]) is str


class Kind(StrEnum):
    """A value as Prefect gives it where an input is one of several words."""

    FAST = "fast"
