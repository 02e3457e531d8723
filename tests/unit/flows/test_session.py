import ssl
from contextlib import asynccontextmanager
from urllib.request import proxy_bypass

import pytest
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

from cwl_prefect.flows import session as connecting
from cwl_prefect.server.local_server import ApiEndpoint
from cwl_prefect.settings import Settings

OURS = "http://127.0.0.1:1/api"


@pytest.fixture
def leases(monkeypatch, tmp_path):
    """Stand for the local server."""
    open_leases: list[str] = []

    @asynccontextmanager
    async def lease(settings):
        open_leases.append("begun")
        yield ApiEndpoint(url=OURS, ui_url="http://127.0.0.1:1", ours=True, started=False)
        open_leases.append("ended")

    monkeypatch.setattr(connecting, "lease", lease)
    return open_leases


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


class TestServing:
    def test_synchronous_code_works_with_the_local_server_while_it_serves(self, leases, tmp_path):
        with temporary_settings(restore_defaults={PREFECT_API_URL}):
            with connecting.serving_with(Settings(home=tmp_path)):
                assert PREFECT_API_URL.value() == OURS
                assert leases == ["begun"]
            assert PREFECT_API_URL.value() != OURS
        assert leases == ["begun", "ended"]

    def test_a_configured_api_is_used_as_it_is(self, leases, tmp_path):
        configured = temporary_settings(updates={PREFECT_API_URL: "http://elsewhere/api"})
        with configured, connecting.serving_with(Settings(home=tmp_path)):
            assert PREFECT_API_URL.value() == "http://elsewhere/api"
        assert leases == []
