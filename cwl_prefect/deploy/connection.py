"""A client of the Prefect API that runs use, and its errors in words of this package."""

import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cwl_prefect.errors import ServerError, UsageError
from cwl_prefect.flows.server import ApiEndpoint, lease
from cwl_prefect.settings import Settings

if TYPE_CHECKING:
    import httpx
    from prefect.client.orchestration import PrefectClient

REFUSED = frozenset({400, 409, 422})


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A Prefect API and a client of it."""

    client: "PrefectClient"
    endpoint: ApiEndpoint

    def worker_command(self, pool: str) -> str:
        """Give what starts a worker of a pool in a shell, which may know nothing of this API."""
        before = f"PREFECT_API_URL={self.endpoint.url} " if self.endpoint.ours else ""
        return f"{before}prefect worker start --pool {shlex.quote(pool)}"

    def page(self, path: str) -> str | None:
        """Give the address of a page of the Prefect UI, if there is one."""
        return f"{self.endpoint.ui_url}/{path}" if self.endpoint.ui_url else None


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Connection]:
    """Connect to the API that the user configured, or else to a local server that is started here.

    Raises:
        ServerError: It cannot be reached, or answers with an error of its own.
        UsageError: It refuses what it is asked, and says why.
    """
    import httpx
    from prefect import get_client

    from cwl_prefect.flows.connected import working_with

    async with lease(settings) as endpoint:
        try:
            with working_with(endpoint):
                async with get_client() as client:
                    yield Connection(client=client, endpoint=endpoint)
        except httpx.HTTPStatusError as error:
            raise _answered(error, endpoint.url) from error
        except httpx.HTTPError as error:
            raise ServerError(f"The Prefect API {endpoint.url} does not answer: {error}") from error


def _answered(error: "httpx.HTTPStatusError", url: str) -> UsageError | ServerError:
    detail = _detail(error.response)
    if error.response.status_code in REFUSED:
        return UsageError(f"The Prefect server refuses this: {detail}")
    return ServerError(f"The Prefect API {url} answers {error.response.status_code}: {detail}")


def _detail(response: "httpx.Response") -> str:
    try:
        answer = response.json()
    except ValueError:
        return response.text or response.reason_phrase
    detail = answer.get("detail") or answer.get("exception_detail") if isinstance(answer, dict) else answer
    if isinstance(detail, list):
        return "; ".join(_one_detail(each) for each in detail)
    return str(detail or answer)


def _one_detail(detail: object) -> str:
    if not isinstance(detail, dict):
        return str(detail)
    where = ".".join(str(part) for part in detail.get("loc", ()) if part != "body")
    return f"{where}: {detail.get('msg')}" if where else str(detail.get("msg"))
