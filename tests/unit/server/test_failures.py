import httpx
import pytest

from cwl_prefect.errors import ServerError, UsageError
from cwl_prefect.server.failures import api_failures

REQUEST = httpx.Request("POST", "http://host/api/flows/")
INVALID = {"exception_detail": [{"loc": ["body", "name"], "msg": "is too long"}, "and more"]}


@pytest.mark.parametrize(
    ("status", "answer", "error", "told"),
    [
        pytest.param(422, INVALID, UsageError, "refuses this: name: is too long; and more", id="invalid"),
        pytest.param(409, {"detail": "exists"}, UsageError, "refuses this: exists", id="conflict"),
        pytest.param(401, {"detail": "who?"}, ServerError, "PREFECT_API_AUTH_STRING", id="stranger"),
        pytest.param(500, "a page", ServerError, "it answers 500: a page", id="fault"),
    ],
)
def test_what_an_api_answers_becomes_an_error_of_ours(status, answer, error, told):
    text = {"text": answer} if isinstance(answer, str) else {"json": answer}
    response = httpx.Response(status, request=REQUEST, **text)
    with pytest.raises(error) as raised, api_failures("It failed"):
        response.raise_for_status()
    assert str(raised.value).startswith(("It failed: ", "The Prefect server "))
    assert told in str(raised.value)


def test_an_api_that_does_not_answer_is_told_with_what_to_look_at():
    with pytest.raises(ServerError, match="It failed: ConnectError: refused") as raised, api_failures("It failed"):
        raise httpx.ConnectError("refused", request=REQUEST)
    assert "PREFECT_API_URL" in (raised.value.hint or "")
