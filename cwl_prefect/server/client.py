"""Ask the local server by Python's own HTTP client: importing Prefect's takes much longer than the answer.

Any other API is asked by Prefect's client, which knows how the user configured it.
"""

import asyncio
import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from time import monotonic
from typing import TYPE_CHECKING, Final, Literal, Protocol
from urllib.parse import urlsplit

from cwl_prefect.errors import ServerError

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

OUR_AGENT: Final = "cwl-prefect"
"""How our own requests introduce themselves; one that does not keeps no server alive."""

ANSWER_S = 60.0
HEALTH_S = 5.0
PATIENCE_S = 30.0  # a server that was killed is back by then
PAUSE_S = 0.5
_BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)

ApiPath = Literal[
    "/flow_runs/filter",
    "/flow_runs/{id}/set_state",
    "/task_runs/filter",
    "/task_runs/{id}/set_state",
    "/events/filter",
    "/flows/filter",
    "/artifacts/filter",
]


class Post(Protocol):
    """Asks an API: path and JSON go there, the body of the answer comes back."""

    async def __call__(self, path: ApiPath, content: Mapping[str, object], **ids: str) -> bytes:
        """Ask, with the ids that the path names."""


def posting(client: "PrefectClient") -> Post:
    """Return what asks the API of a client where Prefect has no method for it, or only one that asks for more."""

    async def post(path: ApiPath, content: Mapping[str, object], **ids: str) -> bytes:
        """Ask."""
        return (await client.request("POST", path, path_params=ids, json=dict(content))).content

    return post


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalApi:
    """The API of a local server."""

    url: str
    auth: str | None = field(default=None, repr=False)  # user and secret

    async def post(self, path: ApiPath, content: Mapping[str, object], **ids: str) -> bytes:
        """Ask the server, again for a while where it is busy or gone.

        Raises:
            ServerError: It gives no answer.
        """
        deadline = monotonic() + PATIENCE_S
        while True:
            passing = True
            try:
                status, body = await asyncio.to_thread(self._post, path.format(**ids), json.dumps(content))
            except (OSError, HTTPException) as error:
                problem = f"{type(error).__name__}: {error}"
            else:
                if status < HTTPStatus.MULTIPLE_CHOICES:
                    return body
                passing, problem = status in _BUSY, f"it answers {status}"
            if not passing or monotonic() >= deadline:
                raise ServerError(
                    f"The local Prefect server failed: {problem}.", hint="see `cwl-prefect server status`."
                )
            await asyncio.sleep(PAUSE_S)

    async def is_healthy(self, *, agent: str = "") -> bool:
        """Check whether the server answers."""
        return await health(self.url, agent=agent) == HTTPStatus.OK

    def _post(self, path: str, content: str) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json", "User-Agent": OUR_AGENT}
        if self.auth is not None:
            headers["Authorization"] = f"Basic {b64encode(self.auth.encode()).decode()}"
        return _request("POST", f"{self.url}{path}", content, headers, ANSWER_S)


async def health(api_url: str, *, agent: str = "") -> int | None:
    """Return the status that an API answers for its health; None where it does not answer."""
    headers = {"User-Agent": agent} if agent else {}
    try:
        status, _ = await asyncio.to_thread(_request, "GET", f"{api_url}/health", None, headers, HEALTH_S)
    except (OSError, HTTPException):
        return None
    return status


def _request(
    method: str, url: str, content: str | None, headers: Mapping[str, str], timeout_s: float
) -> tuple[int, bytes]:
    place = urlsplit(url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=timeout_s)
    try:
        connection.request(method, place.path, content, dict(headers))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
