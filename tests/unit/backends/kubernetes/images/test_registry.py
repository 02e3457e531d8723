"""What is learned from registries about images, and how their refusals are told."""

import base64
import json
import logging
from collections.abc import Callable

import httpx
import pytest

from cwl_prefect.backends.kubernetes.images.images import logins
from cwl_prefect.backends.kubernetes.images.registry import (
    ImageName,
    Login,
    Registries,
    RegistryError,
    by_digest,
    parse_name,
)
from tests.unit.backends.fake_registry import PASSWORD, TOKEN, FakeRegistry, digest_of

NAME = "registry.example/team/tool:1"
LOGIN = {"registry.example": Login(username="me", password=PASSWORD)}


def registries(fake: FakeRegistry, login: dict[str, Login] | None = None, *, patience_s: float = 5) -> Registries:
    return Registries(login or {}, transport=fake.transport, patience_s=patience_s)


async def refusal(fake: FakeRegistry, login: dict[str, Login] | None = None, **options: float) -> RegistryError:
    with pytest.raises(RegistryError) as caught:
        await registries(fake, login, **options).digest(NAME)
    assert PASSWORD not in f"{caught.value} {caught.value.hint}"
    assert TOKEN not in f"{caught.value} {caught.value.hint}"
    return caught.value


@pytest.fixture
def fake() -> FakeRegistry:
    return FakeRegistry()


@pytest.mark.parametrize(
    ("name", "registry", "repository", "reference"),
    [
        pytest.param("python", "registry-1.docker.io", "library/python", "latest", id="official"),
        pytest.param("python:3-slim", "registry-1.docker.io", "library/python", "3-slim", id="tag"),
        pytest.param("team/tool", "registry-1.docker.io", "team/tool", "latest", id="hub"),
        pytest.param("docker.io/python:3", "registry-1.docker.io", "library/python", "3", id="hub-by-name"),
        pytest.param("quay.io/team/tool:1", "quay.io", "team/tool", "1", id="registry"),
        pytest.param("localhost:5000/tool", "localhost:5000", "tool", "latest", id="port-is-no-tag"),
        pytest.param("quay.io/tool:1@sha256:ab", "quay.io", "tool", "sha256:ab", id="tag-and-digest"),
    ],
)
def test_a_name_is_taken_apart_as_docker_does(name: str, registry: str, repository: str, reference: str) -> None:
    assert parse_name(name) == ImageName(registry=registry, repository=repository, reference=reference)


@pytest.mark.parametrize("platforms", [(), ("amd64", "arm64")], ids=["manifest", "index"])
async def test_a_tag_is_resolved_without_its_manifest_being_got(fake: FakeRegistry, platforms: tuple[str, ...]) -> None:
    digest = fake.put("1", platforms=platforms)
    assert await registries(fake).digest(NAME) == digest
    assert fake.paths("HEAD") == ["/v2/team/tool/manifests/1"]
    assert fake.paths("GET") == []
    assert fake.asked[0].url.scheme == "https"
    assert "image.index" in fake.asked[0].headers["accept"]


@pytest.mark.parametrize("change", [{"heads": False}, {"tells_digest": False}], ids=["no-head", "no-header"])
async def test_where_no_header_tells_the_digest_it_is_computed(fake: FakeRegistry, change: dict[str, bool]) -> None:
    digest = fake.put("1")
    vars(fake).update(change)
    assert await registries(fake).digest(NAME) == digest


async def test_a_manifest_of_an_old_kind_has_no_digest(fake: FakeRegistry) -> None:
    fake.put("1")
    fake.tags["1"] = old = b'{"schemaVersion": 1}'
    fake.content[digest_of(old)] = old, "application/vnd.docker.distribution.manifest.v1+json"
    assert "cannot be understood" in str(await refusal(fake))


@pytest.mark.parametrize(
    "host", ["localhost:5000", "127.0.0.1:5000", "127.1.2.3", "[::1]:5000"], ids=["name", "ipv4", "loopback", "ipv6"]
)
async def test_a_registry_of_this_machine_is_asked_without_encryption(fake: FakeRegistry, host: str) -> None:
    digest = fake.put("1")
    assert await registries(fake).digest(f"{host}/team/tool:1") == digest
    assert fake.asked[0].url.scheme == "http"


class TestLogins:
    """Who is told what."""

    @pytest.mark.parametrize("login", [None, LOGIN], ids=["anonymous", "credentials"])
    async def test_a_token_is_got_once(self, fake: FakeRegistry, login: dict[str, Login] | None) -> None:
        digest = fake.put("1")
        fake.guarded, fake.login = "Bearer", f"me:{PASSWORD}" if login else None
        asking = registries(fake, login)
        assert [await asking.digest(NAME) for _ in range(3)] == [digest] * 3
        tokens = [request for request in fake.asked if request.url.host == "auth.example"]
        assert [dict(request.url.params) for request in tokens] == [
            {"service": "fake", "scope": "repository:team/tool:pull"}
        ]

    async def test_basic_credentials_are_given_where_asked_for(self, fake: FakeRegistry) -> None:
        digest = fake.put("1")
        fake.guarded, fake.login = "Basic", f"me:{PASSWORD}"
        assert await registries(fake, LOGIN).digest(NAME) == digest
        assert "authorization" not in fake.asked[0].headers

    @pytest.mark.parametrize("guarded", ["Bearer", "Basic"])
    async def test_wrong_or_no_credentials_are_refused(self, fake: FakeRegistry, guarded: str) -> None:
        fake.put("1")
        fake.guarded, fake.login = guarded, "other:password"
        for login, told in ((None, "requests without credentials"), (LOGIN, "the credentials of the pull secret")):
            error = await refusal(fake, login)
            assert f"refuses {told} (401)" in str(error)
            assert "pull secret" in error.hint

    async def test_credentials_go_to_no_other_registry(self, fake: FakeRegistry) -> None:
        fake.put("1")
        fake.guarded, fake.login = "Bearer", f"me:{PASSWORD}"
        await refusal(fake, {"other.example": LOGIN["registry.example"]})
        assert not any("authorization" in request.headers for request in fake.asked)

    @pytest.mark.parametrize("address", ["https://index.docker.io/v1/", "docker.io", "registry-1.docker.io"])
    async def test_docker_hub_has_several_names(self, fake: FakeRegistry, address: str) -> None:
        digest = fake.put("3")
        fake.guarded, fake.login = "Bearer", f"me:{PASSWORD}"
        found = logins([secret({address: {"username": "me", "password": PASSWORD}})])
        assert await registries(fake, found).digest("python:3") == digest

    async def test_credentials_are_not_sent_in_the_clear(self, fake: FakeRegistry) -> None:
        fake.put("1")
        fake.guarded, fake.realm = "Bearer", "http://auth.example/token"
        assert "in the clear" in str(await refusal(fake, LOGIN))
        assert "auth.example" not in {request.url.host for request in fake.asked}

    async def test_a_redirection_takes_no_token_along(self, fake: FakeRegistry) -> None:
        digest = fake.put("1")
        fake.guarded = "Bearer"
        asking = registries(fake, LOGIN)
        await asking.digest(NAME)
        fake.moved_to = "mirror.example"
        assert await asking.digest(NAME) == digest
        (last,) = [request for request in fake.asked if request.url.host == "mirror.example"]
        assert "authorization" not in last.headers

    async def test_nothing_of_credentials_is_logged(self, fake: FakeRegistry, caplog: pytest.LogCaptureFixture) -> None:
        fake.put("1")
        fake.guarded, fake.login = "Bearer", f"me:{PASSWORD}"
        with caplog.at_level(logging.DEBUG):
            await registries(fake, LOGIN).digest(NAME)
        assert PASSWORD not in caplog.text
        assert TOKEN not in caplog.text


class TestRefusals:
    """Why there is no digest, in words."""

    @pytest.mark.parametrize(
        ("status", "told"),
        [
            pytest.param(404, "has no such image", id="unknown"),
            pytest.param(403, "refuses requests without credentials (403)", id="forbidden"),
            pytest.param(429, "answers with HTTP 429", id="too-many"),
            pytest.param(503, "answers with HTTP 503", id="down"),
        ],
    )
    async def test_a_refusal_names_the_registry_and_what_to_do(
        self, fake: FakeRegistry, status: int, told: str
    ) -> None:
        fake.put("1")
        fake.status = status
        error = await refusal(fake)
        assert str(error) == f"its registry registry.example {told}"
        assert error.hint

    async def test_a_silent_registry_is_asked_once(self, fake: FakeRegistry) -> None:
        fake.silent = True
        asking = registries(fake, patience_s=0.05)
        for name in (NAME, "registry.example/team/other:1"):
            with pytest.raises(RegistryError, match=r"does not answer within 0\.05 s"):
                await asking.digest(name)
        assert len(fake.asked) == 1

    async def test_a_registry_out_of_reach_is_told_with_the_reason(self) -> None:
        def fail(request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("Name or service not known", request=request)

        asking = Registries({}, transport=httpx.MockTransport(fail))
        with pytest.raises(RegistryError, match=r"cannot be reached \(Name or service not known\)") as caught:
            await asking.digest(NAME)
        assert "registry.example/team/tool:1@sha256:" in caught.value.hint

    async def test_redirections_in_a_circle_end(self, fake: FakeRegistry) -> None:
        def circle(request: httpx.Request) -> httpx.Response:
            return httpx.Response(307, headers={"Location": str(request.url)})

        with pytest.raises(RegistryError, match="cannot be reached"):
            await Registries({}, transport=httpx.MockTransport(circle)).digest(NAME)

    @pytest.mark.parametrize(
        "make",
        [
            pytest.param(lambda: httpx.Response(200, content=b"<html>"), id="page"),
            pytest.param(lambda: httpx.Response(200, json=[1]), id="list"),
            pytest.param(lambda: httpx.Response(401, headers={"WWW-Authenticate": "Bearer nothing"}), id="challenge"),
        ],
    )
    async def test_answers_that_are_no_registrys_are_refused(self, make: Callable[[], httpx.Response]) -> None:
        asking = Registries({}, transport=httpx.MockTransport(lambda _: make()))
        for question in (asking.digest, asking.entry_point):
            with pytest.raises(RegistryError, match="cannot be understood"):
                await question(NAME)

    async def test_other_content_than_its_digest_says_is_refused(self, fake: FakeRegistry) -> None:
        digest = fake.put("1")
        fake.tampered = True
        with pytest.raises(RegistryError, match="gives something else"):
            await registries(fake).entry_point(f"registry.example/team/tool@{digest}")


@pytest.mark.parametrize("platforms", [(), ("amd64", "arm64")], ids=["manifest", "index"])
@pytest.mark.parametrize("words", [["python", "-I"], None], ids=["words", "none"])
async def test_an_entry_point_is_read_from_the_configuration(
    fake: FakeRegistry, words: list[str] | None, platforms: tuple[str, ...]
) -> None:
    digest = fake.put("1", entry_point=words, platforms=platforms)
    for name in (NAME, by_digest(NAME, digest)):
        assert await registries(fake).entry_point(name) == tuple(words or ())


@pytest.mark.parametrize(
    ("name", "named"),
    [
        pytest.param("python", "python@sha256:ab", id="no-tag"),
        pytest.param("python:3-slim", "python@sha256:ab", id="tag"),
        pytest.param("localhost:5000/team/tool", "localhost:5000/team/tool@sha256:ab", id="port-is-no-tag"),
        pytest.param("localhost:5000/tool:1", "localhost:5000/tool@sha256:ab", id="port-and-tag"),
        pytest.param("quay.io/tool:1@sha256:cd", "quay.io/tool@sha256:ab", id="tag-and-digest"),
    ],
)
def test_a_name_by_digest_has_no_tag(name: str, named: str) -> None:
    assert by_digest(name, "sha256:ab") == named


def secret(auths: dict[str, dict[str, str]]) -> dict:
    encoded = base64.b64encode(json.dumps({"auths": auths}).encode()).decode()
    return {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": encoded}}


def test_pull_secrets_hold_credentials_by_registry() -> None:
    both = base64.b64encode(b"you:pass:word").decode()
    found = logins(
        [
            secret({"https://registry.example/v1/": {"username": "me", "password": PASSWORD}}),
            secret({"other.example": {"auth": both}}),
            secret({"broken.example": {"auth": "a"}}),
            {"data": {".dockerconfigjson": "not base64"}},
            {"data": {}},
        ]
    )
    assert found == {
        "registry.example": Login(username="me", password=PASSWORD),
        "other.example": Login(username="you", password="pass:word"),
    }
