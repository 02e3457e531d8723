"""Ask the local server about runs without Prefect, whose import takes much longer than the answer.

The local server has no tokens, no certificate and no proxy before it; any other API is asked by Prefect's own client,
which knows how the user configured it.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from time import monotonic
from urllib.parse import urlsplit

from cwl_prefect.errors import ServerError
from cwl_prefect.flows.run_records import FILTER_PATH, Ask, Question, RunRecord, read_records
from cwl_prefect.flows.server import lease
from cwl_prefect.flows.server_keeping import kept
from cwl_prefect.flows.server_process import OUR_AGENT
from cwl_prefect.settings import Settings

ANSWER_S = 60.0
PATIENCE_S = 30.0  # a server that was killed is back by then
PAUSE_S = 0.5
_BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


@asynccontextmanager
async def asking_local_server(settings: Settings) -> AsyncIterator[Ask]:
    """Let the local server, started where it is not running, be asked for as long as this is open.

    Raises:
        ServerError: It does not start or answer.
    """
    async with lease(settings) as endpoint, kept(endpoint, settings):

        async def ask(question: Question) -> list[RunRecord]:
            """Ask for runs."""
            return read_records(await answer(endpoint.url, question))

        yield ask


async def answer(api_url: str, question: Question) -> bytes:
    """Ask a server, again for a while where it is busy or gone.

    Raises:
        ServerError: It gives no answer.
    """
    deadline = monotonic() + PATIENCE_S
    while True:
        passing = True
        try:
            status, body = await asyncio.to_thread(_post, api_url, json.dumps(question))
        except (OSError, HTTPException) as error:
            problem = f"{type(error).__name__}: {error}"
        else:
            if status == HTTPStatus.OK:
                return body
            passing, problem = status in _BUSY, f"it answers {status}"
        if not passing or monotonic() >= deadline:
            raise ServerError(f"The local Prefect server failed: {problem}.", hint="see `cwl-prefect server status`.")
        await asyncio.sleep(PAUSE_S)


def _post(api_url: str, question: str) -> tuple[int, bytes]:
    place = urlsplit(api_url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=ANSWER_S)
    try:
        headers = {"Content-Type": "application/json", "User-Agent": OUR_AGENT}
        connection.request("POST", f"{place.path}{FILTER_PATH}", question, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
