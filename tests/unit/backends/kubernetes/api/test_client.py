"""A client that is patient, and one watch for many calls; the server is a script of answers."""

import asyncio
import base64
import json
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import certifi
import pytest
from aiohttp import ClientError
from tenacity import wait_none

from cwl_prefect.backends.kubernetes import watch as kubernetes_watch
from cwl_prefect.backends.kubernetes.api import client as kubernetes_client
from cwl_prefect.backends.kubernetes.api.client import KubernetesApi, RefusedError, connect
from cwl_prefect.backends.kubernetes.watch import PodWatch
from cwl_prefect.errors import BackendError


class Content:
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def iter_any(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


class Answer:
    def __init__(self, status: int, body: object, *, pieces: list[bytes] | None = None) -> None:
        self.status = status
        self._body = body
        self.content = Content(pieces or [])

    async def text(self) -> str:
        return json.dumps(self._body)

    async def __aenter__(self) -> "Answer":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


class Server:
    """Gives its answers in turn, an exception by raising it; the last one for ever."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    async def call_api(self, path: str, method: str, *, query_params: list, **_: object) -> Answer:
        self.asked.append((method, path, dict(query_params)))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        if len(self.asked) > 50:
            await asyncio.sleep(60)
        return answer


def refusal(status: int, message: str) -> Answer:
    return Answer(status, {"kind": "Status", "message": message})


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_client, "PAUSES", wait_none())
    monkeypatch.setattr(kubernetes_watch, "PAUSE_S", 0.001)


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(refusal(429, "too many requests"), id="too-many"),
        pytest.param(refusal(503, "restarting"), id="restarting"),
        pytest.param(ClientError("connection refused"), id="away"),
        pytest.param(TimeoutError(), id="silent"),
    ],
)
async def test_what_passes_is_waited_for(first: Answer | Exception) -> None:
    server = Server(first, first, Answer(200, {"metadata": {"name": "x"}}))
    assert await KubernetesApi(server).create_job("lab", {}) == {"metadata": {"name": "x"}}
    assert len(server.asked) == 3


async def test_a_refusal_for_good_is_told_with_a_way_out() -> None:
    server = Server(refusal(403, "jobs is forbidden: user cannot create"))
    with pytest.raises(RefusedError, match="user cannot create") as found:
        await KubernetesApi(server).create_job("lab", {})
    assert (found.value.status, len(server.asked)) == (403, 1)
    assert found.value.hint is not None


async def test_patience_ends(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(kubernetes_client, "TOLD_AFTER_S", 0.0)
    api = KubernetesApi(Server(Answer(200, {}), ClientError("refused")), patience_s=0.01)
    assert await api.job("lab", "x") == {}
    with pytest.raises(BackendError, match="does not answer") as found:
        await api.job("lab", "x")
    assert found.value.passing
    assert [record.message for record in caplog.records] == [
        "the Kubernetes API server does not answer: refused; asking it again for up to 0.01 s"
    ]


async def test_a_server_that_never_answered_is_given_up_soon_and_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_client, "FIRST_PATIENCE_S", 0.01)
    server = Server(ClientError("refused"))
    api = KubernetesApi(server)
    with pytest.raises(BackendError, match="does not answer") as found:
        await api.job("lab", "x")
    assert not found.value.passing
    assert "kubectl" in str(found.value.hint)
    asked = len(server.asked)
    with pytest.raises(BackendError, match="does not answer"):
        await api.delete_job("lab", "x")
    assert len(server.asked) == asked + 1


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        (Answer(200, {"major": "1", "minor": "29"}), (1, 29)),
        (Answer(200, {"major": "1", "minor": "31+"}), (1, 31)),
        (Answer(200, {"gitVersion": "of its own"}), (0, 0)),
        (Answer(403, {"message": "forbidden"}), (0, 0)),
    ],
    ids=["plain", "of a provider", "not told", "refused"],
)
async def test_the_version_of_a_server(answer: Answer, version: tuple[int, int]) -> None:
    assert await KubernetesApi(Server(answer)).version() == version


async def test_what_is_not_there_is_nothing() -> None:
    server = Server(refusal(404, "not found"))
    assert await KubernetesApi(server).job("lab", "x") is None
    assert not await KubernetesApi(server).delete_job("lab", "x")


def pod(name: str, version: str, phase: str = "Running") -> dict[str, Any]:
    return {
        "metadata": {"uid": name, "labels": {"job-name": name}, "resourceVersion": version},
        "status": {"phase": phase},
    }


def listing(version: str, *pods: dict[str, Any]) -> Answer:
    return Answer(200, {"items": list(pods), "metadata": {"resourceVersion": version}})


def watching(*changes: tuple[str, dict[str, Any]], cut: int = 10) -> Answer:
    whole = b"".join(json.dumps({"type": kind, "object": of}).encode() + b"\n" for kind, of in changes)
    return Answer(200, {}, pieces=[whole[start : start + cut] for start in range(0, len(whole), cut)])


async def seen(server: Server, condition: Callable[[PodWatch], bool], *names: str) -> PodWatch:
    watch = PodWatch(KubernetesApi(server), "lab", "run=1")
    for name in names:
        watch.follow(name)
    async with asyncio.timeout(5):
        while not condition(watch):
            await asyncio.sleep(0.001)
    await watch.close()
    return watch


def phase(watch: PodWatch, name: str) -> object:
    followed = watch._followed[name].pod
    return None if followed is None else followed["status"]["phase"]


async def test_one_watch_follows_many_pods() -> None:
    server = Server(
        listing("1", pod("a", "1")), watching(("ADDED", pod("b", "2")), ("MODIFIED", pod("a", "3", "Failed")))
    )
    await seen(server, lambda watch: phase(watch, "a") == "Failed" and phase(watch, "b") == "Running", "a", "b")
    assert server.asked[1][2]["resourceVersion"] == "1"


async def test_a_watch_that_is_cut_goes_on_where_it_was() -> None:
    server = Server(
        listing("1"),
        watching(("ADDED", pod("a", "7"))),
        ClientError("cut"),
        watching(("MODIFIED", pod("a", "8", "Failed"))),
    )
    await seen(server, lambda watch: phase(watch, "a") == "Failed", "a")
    assert [asked[2].get("resourceVersion") for asked in server.asked[:4]] == [None, "1", "7", "7"]


@pytest.mark.parametrize(
    "gone",
    [
        pytest.param(refusal(410, "too old"), id="status"),
        pytest.param(watching(("ERROR", {"code": 410, "message": "too old"})), id="event"),
    ],
)
async def test_lost_history_is_listed_again(gone: Answer) -> None:
    server = Server(listing("1", pod("a", "1")), gone, listing("9", pod("a", "9", "Failed")), watching())
    await seen(server, lambda watch: phase(watch, "a") == "Failed", "a")
    assert server.asked[2][2] == {"labelSelector": "run=1"}


async def test_a_pod_that_went_away_unseen_is_deleted() -> None:
    server = Server(listing("1", pod("a", "1")), refusal(410, "too old"), listing("9"), watching())
    watch = await seen(server, lambda watch: watch._followed["a"].deleted, "a")
    assert phase(watch, "a") == "Running"  # as it was seen last
    assert server.asked[2][2] == {"labelSelector": "run=1"}


async def test_without_the_right_to_watch_the_calls_are_told() -> None:
    watch = PodWatch(KubernetesApi(Server(refusal(403, "user cannot list pods"))), "lab", "run=1")
    followed = watch.follow("a")
    async with asyncio.timeout(5):
        await followed.changed.wait()
    with pytest.raises(RefusedError, match="cannot list pods"):
        watch.check()
    await watch.close()


async def test_a_long_line_is_read_whole() -> None:
    long = {**pod("a", "2", "Failed"), "spec": {"command": "x" * 300_000}}
    server = Server(listing("1"), watching(("ADDED", long), cut=50_000))
    watch = await seen(server, lambda watch: phase(watch, "a") == "Failed", "a")
    assert watch._followed["a"].pod == long


async def test_connecting_leaves_no_file_with_what_a_kubeconfig_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    authority = base64.b64encode(Path(certifi.where()).read_bytes()).decode()
    cluster = {"server": "https://127.0.0.1:1", "certificate-authority-data": authority}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    for _ in range(2):  # the second finds nothing that it could use again
        await (await connect(SimpleNamespace(config=config, context_name="x"))).close()
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"clusters: [c\n", id="no-yaml"),
        pytest.param(b"- a\n", id="a-list"),
        pytest.param(b"hello", id="a-text"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe\x00", id="binary"),
    ],
)
async def test_a_malformed_kubeconfig_is_named(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kubernetes_asyncio.config import kube_config

    path = tmp_path / "kubeconfig"
    path.write_bytes(content)
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    with pytest.raises(BackendError, match="is malformed") as told:
        await connect()
    assert str(path) in told.value.message
    assert "\n" not in told.value.message
    assert told.value.hint


async def test_a_malformed_kubeconfig_of_a_block_is_told() -> None:
    with pytest.raises(BackendError, match="cluster block"):
        await connect(SimpleNamespace(config={"clusters": 3, "contexts": 3}, context_name="x"))
