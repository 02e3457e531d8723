"""The API that a run works with: the one that is configured, or the local server that all runs share."""

import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from importlib.resources import as_file, files
from typing import Any, Self, cast
from urllib.parse import urlsplit

import httpx
from prefect import Flow
from prefect.context import FlowRunContext, SettingsContext, get_settings_context
from prefect.settings import PREFECT_API_URL

from cwl_prefect.errors import ServerError
from cwl_prefect.flows.endings import told_again
from cwl_prefect.flows.mark import MARK
from cwl_prefect.flows.server import ApiEndpoint, lease
from cwl_prefect.flows.server_keeping import kept
from cwl_prefect.flows.tagging import tagged
from cwl_prefect.settings import EVERY_STEP, Settings, reach_directly


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
def api_failures(what: str) -> Iterator[None]:
    """Turn what fails on the way to the API into an error of ours, which begins with these words.

    Raises:
        ServerError: Something did.
    """
    try:
        yield
    except httpx.HTTPError as error:
        raise ServerError(
            f"{what}: {type(error).__name__}: {error}",
            hint="see `cwl-prefect server status`, or look at the server that PREFECT_API_URL names.",
        ) from error


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
        api = before.api.model_copy(update={"url": endpoint.url, "ssl_cert_file": str(nobody)})
        # The local server has no tokens, and is of the version that is installed or of one that goes with it.
        unneeded = {"csrf_support_enabled": False, "server_version_check_enabled": False}
        client = before.client.model_copy(update=unneeded)
        settings = before.model_copy(update={"api": api, "client": client, "ui_url": endpoint.ui_url})
        with SettingsContext(profile=context.profile, settings=settings):
            yield


class ConnectedFlow(Flow[..., Any]):
    """A flow whose calls run on the local server that all runs share, where no API is configured.

    Prefect itself would start a server for the process, and take it away at the end with all that it shows.
    """

    _settings: Settings
    _body_of: Callable[[Settings], Callable[..., Any]]

    @classmethod
    def of(cls, body_of: Callable[[Settings], Callable[..., Any]], settings: Settings, **options: Any) -> Self:
        """Make a flow, with the options of Prefect's flows.

        Args:
            body_of: Gives the function that it runs with some settings.
            settings: Those that it runs with.
            options: Those of Prefect.
        """
        made = cls(body_of(settings), **options)
        made._settings = settings
        made._body_of = body_of
        return made

    def with_options(
        self, *, refresh_cache: bool | None = None, cache_expiration: timedelta | None = None, **options: Any
    ) -> Self:
        """Give a flow with other options, as of any flow of Prefect, and with those of its tasks for their cache.

        Args:
            refresh_cache: Whether every call runs although it is cached; as before where it is None.
            cache_expiration: Age from which outputs of calls are not reused; as before where it is None.
            options: Those of Prefect.
        """
        changed: dict[str, object] = {}
        if refresh_cache is not None:
            changed["refresh"] = (EVERY_STEP,) if refresh_cache else ()
        if cache_expiration is not None:
            changed["cache_expiration_s"] = cache_expiration.total_seconds()
        settings = self._settings.model_copy(update=changed)
        made = copy.copy(self)  # Prefect makes a plain flow
        made.__dict__.update(super().with_options(**options).__dict__, _settings=settings, fn=self._body_of(settings))
        return made

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Give parameters as the API takes them; for what is JSON already, Prefect need not load FastAPI."""
        return parameters if _is_json(parameters) else super().serialize_parameters(parameters)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the flow; to be awaited, as any flow of an async function."""
        if FlowRunContext.get() is not None:
            return super().__call__(*args, **kwargs)
        return self._outermost(*args, **kwargs)

    async def _outermost(self, *args: Any, **kwargs: Any) -> Any:
        call = cast("Callable[..., Awaitable[Any]]", super().__call__)
        with tagged([MARK]):
            if PREFECT_API_URL.value():
                return await call(*args, **kwargs)
            async with connected(self._settings):
                return await call(*args, **kwargs)


def _is_json(value: object) -> bool:
    try:
        return _is_plain(value)
    except RecursionError:
        return False


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(type(key) is str and _is_plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or type(value) in (str, bool, int, float)
