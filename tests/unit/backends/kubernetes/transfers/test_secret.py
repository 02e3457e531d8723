"""The Secret of a run is there once, goes away with its Jobs, and is no reason to fail for whoever may have none."""

import logging
from types import SimpleNamespace

import pytest

from cwl_prefect.backends.kubernetes import jobs
from cwl_prefect.backends.kubernetes.api.client import KubernetesApi, RefusedError
from cwl_prefect.backends.kubernetes.transfers.secret import give, secret_name, take_back
from cwl_prefect.backends.naming import FLOW_RUN_LABEL

RUN = "5f0c9a4e-0000-4000-8000-000000000000"
KEYS = {"AWS_ACCESS_KEY_ID": "letmein", "AWS_SECRET_ACCESS_KEY": "open-sesame"}


class Api(KubernetesApi):
    """A namespace with Secrets, of which some may not be written."""

    def __init__(self, *, forbidden: bool = False) -> None:
        super().__init__(SimpleNamespace(close=self._closed))  # type: ignore[arg-type]  # nothing is sent
        self.forbidden = forbidden
        self.secrets: dict[str, dict[str, object]] = {}

    async def _closed(self) -> None:
        """Have nothing to close."""

    async def jobs(self, namespace, selector):
        return []

    async def request(self, method, path, *, query=None, body=None):
        if self.forbidden:
            raise RefusedError("secrets is forbidden", status=403)
        name = body["metadata"]["name"] if body else path.rpartition("/")[2]
        assert path == "/api/v1/namespaces/lab/secrets" + ("" if method == "POST" else f"/{name}")
        match method:
            case "POST" if name in self.secrets:
                raise RefusedError("already exists", status=409)
            case "POST" | "PUT":
                self.secrets[name] = body
            case "DELETE" if self.secrets.pop(name, None) is None:
                raise RefusedError("not found", status=404)
        return {}


@pytest.fixture
def api() -> Api:
    return Api()


async def test_it_has_the_name_and_label_of_its_run_and_goes_away_with_its_owner(api):
    name = await give(api, "lab", RUN, KEYS, {"kind": "Job", "uid": "u1"})
    metadata = {"name": name, "labels": {FLOW_RUN_LABEL: RUN}, "ownerReferences": [{"kind": "Job", "uid": "u1"}]}
    assert api.secrets == {name: {"metadata": metadata, "type": "Opaque", "stringData": KEYS}}
    assert (name, len(name) <= 63) == (secret_name(RUN), True)


async def test_what_an_earlier_driver_left_is_replaced(api):
    await give(api, "lab", RUN, {**KEYS, "AWS_SESSION_TOKEN": "old"}, None)
    name = await give(api, "lab", RUN, KEYS, None)
    assert [each["stringData"] for each in api.secrets.values()] == [KEYS]
    assert name is not None


async def test_it_is_removed_and_need_not_be_there(api):
    await give(api, "lab", RUN, KEYS, None)
    await give(api, "lab", "another", KEYS, None)
    await take_back(api, "lab", RUN)
    await take_back(api, "lab", RUN)
    assert list(api.secrets) == [secret_name("another")]


async def test_whoever_may_write_none_is_told_what_to_do(caplog):
    with caplog.at_level(logging.WARNING):
        assert await give(Api(forbidden=True), "lab", RUN, KEYS, None) is None
    await take_back(Api(forbidden=True), "lab", RUN)
    assert "may not create, update and delete secrets in lab" in caplog.text
    assert "CWL_PREFECT_WORKSPACES_SECRET" in caplog.text
    assert "sesame" not in caplog.text


async def test_a_reaper_removes_it_where_no_job_is_left(api, monkeypatch):
    async def connect(named):
        return api

    monkeypatch.setattr(jobs, "connect", connect)
    await give(api, "lab", RUN, KEYS, None)
    assert await jobs.reap({FLOW_RUN_LABEL: RUN}, ["lab"]) == 0
    assert api.secrets == {}
