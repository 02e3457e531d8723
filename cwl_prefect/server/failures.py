"""What fails on the way to a Prefect API, in words of this package: the one border where its exceptions become ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import httpx

from cwl_prefect.errors import ServerError, UsageError

_REFUSED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY})
_STRANGERS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


@contextmanager
def api_failures(what: str) -> Iterator[None]:
    """Turn what fails on the way to the API into an error of ours, which begins with these words.

    Raises:
        UsageError: The API refuses what it is asked, and says why.
        ServerError: It does not answer, or answers with an error of its own.
    """
    try:
        yield
    except httpx.HTTPStatusError as error:
        raise _answered(what, error.response) from error
    except httpx.HTTPError as error:
        raise ServerError(
            f"{what}: {type(error).__name__}: {error}",
            hint="see `cwl-prefect server status`, or look at the server that PREFECT_API_URL names.",
        ) from error


def _answered(what: str, response: httpx.Response) -> UsageError | ServerError:
    detail = _detail(response)
    if response.status_code in _REFUSED:
        return UsageError(f"The Prefect server refuses this: {detail}")
    hint = "set PREFECT_API_KEY or PREFECT_API_AUTH_STRING." if response.status_code in _STRANGERS else None
    return ServerError(f"{what}: it answers {response.status_code}: {detail}", hint=hint)


def _detail(response: httpx.Response) -> str:
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
