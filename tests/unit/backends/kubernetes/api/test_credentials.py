"""Credentials of a kubeconfig that end while a run goes on; the plugin is a small program, the server a fake."""

import asyncio
import base64
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from kubernetes_asyncio.config import kube_config
from tenacity import wait_none

from cwl_prefect.backends.kubernetes.api import client as kubernetes_client
from cwl_prefect.backends.kubernetes.api import credentials
from cwl_prefect.backends.kubernetes.api.client import KubernetesApi, RefusedError, connect
from cwl_prefect.errors import BackendError

EXEC = "client.authentication.k8s.io/v1"


class Answer:
    def __init__(self, status: int, body: object) -> None:
        self.status = status
        self._body = body
        self.content = self

    async def text(self) -> str:
        return json.dumps(self._body)

    async def iter_any(self):
        yield json.dumps(self._body).encode() + b"\n"

    def close(self) -> None:
        pass

    async def __aenter__(self) -> "Answer":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


class Server:
    """Answers to whoever has the token that counts now."""

    def __init__(self, api: KubernetesApi, token: str) -> None:
        self.token = token
        self.asked: list[str] = []
        self._configuration = api._client.configuration
        api._client.call_api = self.call_api

    async def call_api(self, *_: object, **__: object) -> Answer:
        self.asked.append(self._configuration.api_key["BearerToken"])
        good = self.asked[-1] == f"Bearer {self.token}"
        await asyncio.sleep(0)
        return Answer(200, {"kind": "Job"}) if good else Answer(401, {"message": "Unauthorized"})


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_client, "PAUSES", wait_none())
    monkeypatch.setattr(credentials, "_AGAIN_S", 0.01)


def kubeconfig(user: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": user}, {"name": "other", "user": {"token": "of-another"}}],
        "contexts": [
            {"name": "x", "context": {"cluster": "c", "user": "u"}},
            {"name": "y", "context": {"cluster": "c", "user": "other"}},
        ],
        "current-context": "x",
    }


class Login:
    """Where a user's token comes from, and how often it was asked for."""

    def __init__(self, directory: Path, kind: str) -> None:
        self._kind = kind
        self._said = directory / "said"
        self._count = directory / "count"
        script = 'printf x >> "$1"; cat "$0"'
        plugin = {"apiVersion": EXEC, "command": "sh", "args": ["-c", script, str(self._said), str(self._count)]}
        self.user = {"exec": plugin} if kind == "plugin" else {"tokenFile": str(self._said)}

    def gives(self, token: str) -> None:
        status = {"token": token, "expirationTimestamp": "2999-01-01T00:00:00Z"}
        answer = json.dumps({"apiVersion": EXEC, "kind": "ExecCredential", "status": status})
        self._said.write_text(answer if self._kind == "plugin" else token)

    def fails(self) -> None:
        self._said.unlink()

    @property
    def count(self) -> int:
        return len(self._count.read_text())


@pytest.fixture(params=["plugin", "file"])
def login(request: pytest.FixtureRequest, tmp_path: Path) -> Login:
    found = Login(tmp_path, request.param)
    found.gives("first")
    return found


async def connected(login: Login) -> tuple[KubernetesApi, Server]:
    api = await connect(SimpleNamespace(config=kubeconfig(login.user), context_name="x"))
    return api, Server(api, "first")


async def test_a_token_that_ended_is_renewed_and_the_request_made_again(login: Login) -> None:
    api, server = await connected(login)
    assert await api.job("lab", "a") == {"kind": "Job"}
    server.token = "second"
    login.gives("second")
    assert await api.job("lab", "a") == {"kind": "Job"}
    assert server.asked == ["Bearer first", "Bearer first", "Bearer second"]
    await api.close()


async def test_a_watch_renews_a_token_too(login: Login) -> None:
    api, server = await connected(login)
    server.token = "second"
    login.gives("second")
    assert [change async for change in api.watch_pods("lab", "run=1", "1")] == [{"kind": "Job"}]
    await api.close()


async def test_requests_that_are_refused_at_once_renew_a_token_once(tmp_path: Path) -> None:
    login = Login(tmp_path, "plugin")
    login.gives("first")
    api, server = await connected(login)
    server.token = "second"
    login.gives("second")
    await asyncio.gather(*(api.job("lab", str(number)) for number in range(20)))
    assert login.count == 2
    await api.close()


async def test_a_token_that_is_given_again_is_refused_for_good(login: Login) -> None:
    api, server = await connected(login)
    server.token = "second"
    with pytest.raises(RefusedError, match="Unauthorized") as found:
        await api.job("lab", "a")
    assert (found.value.status, len(server.asked)) == (401, 1)
    await api.close()


async def test_a_login_that_fails_is_tried_again_and_told(login: Login) -> None:
    api, server = await connected(login)
    await api.job("lab", "a")
    server.token = "second"
    login.fails()
    asyncio.get_running_loop().call_later(0.1, login.gives, "second")
    assert await api.job("lab", "a") == {"kind": "Job"}
    api._patience_s = 0.01
    server.token = "third"
    login.fails()
    with pytest.raises(BackendError, match=r"no longer valid, and logging in again fails: .*No such file") as found:
        await api.job("lab", "a")
    assert "log in again" in str(found.value.hint)
    await api.close()


async def test_another_context_that_was_chosen_meanwhile_is_not_used(
    login: Login, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(kubeconfig(login.user)))
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    api = await connect()
    server = Server(api, "second")
    path.write_text(yaml.safe_dump(kubeconfig(login.user) | {"current-context": "y"}))
    login.gives("second")
    await api.job("lab", "a")
    assert server.asked == ["Bearer first", "Bearer second"]
    await api.close()


async def test_a_token_of_an_identity_provider_is_renewed_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def token(expires: float) -> str:
        return f"h.{base64.b64encode(json.dumps({'exp': int(expires)}).encode()).decode().rstrip('=')}.s"

    class Provider:
        def __init__(self, *_: object) -> None:
            pass

        async def refresh_token(self, _: str) -> dict[str, str]:
            return {"id_token": token(time.time() + 3600), "refresh_token": "next"}

    stated = {"client-id": "i", "client-secret": "s", "idp-issuer-url": "https://idp", "refresh-token": "r"}
    user = {"auth-provider": {"name": "oidc", "config": {**stated, "id-token": token(1)}}}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(kubeconfig(user)))
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    monkeypatch.setattr(kube_config, "OpenIDRequestor", Provider)
    await (await connect()).close()
    kept = yaml.safe_load(path.read_text())["users"][0]["user"]["auth-provider"]["config"]
    assert kept["refresh-token"] == "next"
