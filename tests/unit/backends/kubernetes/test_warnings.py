"""However many calls wait, an API server is asked seldom for what it warns of."""

import asyncio
from typing import Any

import pytest

from cwl_prefect.backends.kubernetes import warnings as kubernetes_warnings
from cwl_prefect.backends.kubernetes.warnings import Warnings


class Api:
    """Warns of three objects, and takes a while to say so."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.asked = 0
        self._takes_s = takes_s

    async def warnings(self, namespace: str) -> list[dict[str, Any]]:
        assert namespace == "lab"
        self.asked += 1
        await asyncio.sleep(self._takes_s)
        said = [("a", "first"), ("b", "other"), ("a", f"second, asked {self.asked}")]
        return [{"involvedObject": {"uid": uid}, "message": message} for uid, message in said]


async def test_one_question_is_for_all_and_each_gets_what_is_said_of_its_own() -> None:
    api = Api(0.01)
    warnings = Warnings(api, "lab")
    found = await asyncio.gather(*(warnings.about(uid) for uid in ["a", "b", "c"] * 20))
    assert api.asked == 1
    assert [[event["message"] for event in about] for about in found[:3]] == [
        ["first", "second, asked 1"],
        ["other"],
        [],
    ]


async def test_what_is_old_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_warnings, "_FRESH_S", 0.0)
    monkeypatch.setattr(kubernetes_warnings, "_TIMES", 0.0)
    api = Api()
    warnings = Warnings(api, "lab")
    await warnings.about("a")
    assert [event["message"] for event in await warnings.about("a")][-1] == "second, asked 2"


async def test_a_server_that_takes_long_is_asked_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_warnings, "_FRESH_S", 0.0)
    api = Api(0.05)
    warnings = Warnings(api, "lab")
    await warnings.about("a")
    await asyncio.sleep(0.2)
    await warnings.about("a")
    assert api.asked == 1
