"""The API that a run works with: the one that is configured, or the local server that all runs share."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.resources import as_file, files
from urllib.parse import urlsplit

from prefect.context import SettingsContext, get_settings_context
from prefect.settings import PREFECT_API_URL
from pydantic import SecretStr

from cwl_prefect.environment import reach_directly
from cwl_prefect.flows.endings import told_again
from cwl_prefect.server.keeping import kept
from cwl_prefect.server.local_server import ApiEndpoint, lease
from cwl_prefect.settings import Settings


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[ApiEndpoint]:
    """Let Prefect work with the API that runs use, which stays for as long as this is open.

    Raises:
        ServerError: The configured API does not answer, or the local server does not start.
    """
    async with lease(settings) as endpoint, kept(endpoint, settings):
        with working_with(endpoint):
            async with told_again(endpoint, settings):
                yield endpoint


@contextmanager
def working_with(endpoint: ApiEndpoint) -> Iterator[None]:
    """Let Prefect's clients use the local server; a configured API they find by themselves.

    No proxy of the environment leads to this machine. Prefect's own ``temporary_settings`` would read and check every
    setting again.
    """
    if not endpoint.ours:
        yield
        return
    reach_directly(urlsplit(endpoint.url).hostname or "")
    context = get_settings_context()
    before = context.settings
    with as_file(files("cwl_prefect.flows").joinpath("nobody.pem")) as nobody:
        # Each client reads the authorities that it would trust; over plain HTTP nobody is asked for a certificate.
        auth = None if endpoint.auth is None else SecretStr(endpoint.auth)
        own = {"url": endpoint.url, "auth_string": auth, "key": None, "ssl_cert_file": str(nobody)}
        api = before.api.model_copy(update=own)
        # The local server refuses forged requests without tokens, and is of a version that goes with the installed one.
        unneeded = {"csrf_support_enabled": False, "server_version_check_enabled": False}
        client = before.client.model_copy(update=unneeded)
        settings = before.model_copy(update={"api": api, "client": client, "ui_url": endpoint.ui_url})
        with SettingsContext(profile=context.profile, settings=settings):
            yield


@contextmanager
def serving_with(settings: Settings) -> Iterator[None]:
    """Let Prefect work with the API that runs use, for synchronous code that runs loops of its own.

    Raises:
        ServerError: The local server does not start.
    """
    if PREFECT_API_URL.value():
        yield
        return
    held = lease(settings)
    with asyncio.Runner() as loop:
        endpoint = loop.run(held.__aenter__())
        try:
            with working_with(endpoint):
                yield
        finally:
            loop.run(held.__aexit__(None, None, None))
