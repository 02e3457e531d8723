"""Objects as pods read and write them."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from cwl_prefect.backends.kubernetes.transfers import bucket as buckets
from cwl_prefect.backends.kubernetes.transfers.bucket import Bucket, Credentials, RefusedError, blob, signed
from tests.object_store import ObjectStore
from tests.web_server import running_web_server

LEAST_PART = 5 * 1024 * 1024  # that S3 takes


@pytest.fixture
def bucket(object_store: ObjectStore) -> Bucket:
    return Bucket(object_store.url("ws"), object_store.environment, part=LEAST_PART)


def sha1(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@pytest.mark.parametrize("size", [pytest.param(5000, id="whole"), pytest.param(LEAST_PART + 7, id="in-parts")])
def test_a_file_goes_there_and_comes_back(bucket: Bucket, object_store: ObjectStore, tmp_path: Path, size: int) -> None:
    content = bytes(range(250)) * (size // 250 + 1)
    (tmp_path / "a").write_bytes(content)

    bucket.put(sha1(content), str(tmp_path / "a"))
    bucket.get(sha1(content), str(tmp_path / "b"))

    assert object_store.content(f"ws/{blob(sha1(content))}") == content
    assert (tmp_path / "b").read_bytes() == content


def test_what_is_there_is_not_uploaded_again(bucket: Bucket, object_store: ObjectStore, tmp_path: Path) -> None:
    object_store.put(f"ws/{blob('00')}", b"there")
    (tmp_path / "a").write_bytes(b"another")
    bucket.put("00", str(tmp_path / "a"))
    assert object_store.content(f"ws/{blob('00')}") == b"there"


def test_what_is_old_is_written_again(
    bucket: Bucket, object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    object_store.put(f"ws/{blob('00')}", b"old")
    (tmp_path / "a").write_bytes(b"new")
    monkeypatch.setattr(buckets, "_RENEWED", -buckets._RENEWED)
    bucket.put("00", str(tmp_path / "a"))
    assert object_store.content(f"ws/{blob('00')}") == b"new"


def test_names_of_every_kind_are_signed_as_the_store_reads_them(bucket: Bucket, object_store: ObjectStore) -> None:
    bucket.write("calls/a b+ü%41~/x", b"text")
    assert bucket.read("calls/a b+ü%41~/x") == b"text"
    assert object_store.keys() == ["ws/calls/a b+ü%41~/x"]


def test_what_is_damaged_is_told(
    bucket: Bucket, object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets.time, "sleep", lambda _: None)
    object_store.put(f"ws/{blob(sha1(b'right'))}", b"wrong")
    with pytest.raises(RefusedError, match="not whole"):
        bucket.get(sha1(b"right"), str(tmp_path / "a"))


def test_what_is_not_there_is_told_by_its_url(bucket: Bucket) -> None:
    with pytest.raises(RefusedError, match=r"^s3://data/ws/calls/x: NoSuchKey 404$"):
        bucket.read("calls/x")


@pytest.mark.parametrize("missing", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_missing_credentials_are_told(missing: str) -> None:
    environment = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s3cret"}
    del environment[missing]
    with pytest.raises(RefusedError, match=f"the pod has no {missing}$"):
        Bucket("s3://data/ws", environment)


def test_a_failure_that_passes_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(buckets.time, "sleep", pauses.append)
    with running_web_server() as web:
        web.put("data/ws/a", b"text")
        web.refusals += [503, 500]
        environment = {"AWS_ENDPOINT_URL": web.address, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
        assert Bucket("s3://data/ws", environment).read("a") == b"text"
    assert pauses == [0.5, 1.0]


def test_a_right_that_is_missing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_web_server() as web:
        web.refused["data/ws/a"] = 403
        environment = {"AWS_ENDPOINT_URL": web.address, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s3cret"}
        with pytest.raises(RefusedError, match=r"^s3://data/ws/a: 403$"):
            Bucket("s3://data/ws", environment).read("a")
        assert len(web.asked) == 1


@pytest.mark.parametrize("token", [None, "tok/en+"])
@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("GET", "https://s3.eu-west-1.amazonaws.com/data/ws/a%20b%2B%C3%BC~"),
        ("PUT", "https://minio.example:9000/data/ws/a?partNumber=1&uploadId=a%2Bb%3D"),
        ("POST", "https://minio.example:9000/data/ws/a?uploads="),
    ],
)
def test_requests_are_signed_as_botocore_signs_them(
    method: str, address: str, token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    request = AWSRequest(method=method, url=address)
    monkeypatch.setattr(S3SigV4Auth, "payload", lambda *_: "UNSIGNED-PAYLOAD")
    signer = S3SigV4Auth(BotoCredentials("key", "s3cret", token), "s3", "eu-west-1")
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda remove_tzinfo=True: at.replace(tzinfo=None))
    signer.add_auth(request)

    found = signed(method, address, Credentials("key", "s3cret", token, "eu-west-1"), at)

    assert found["authorization"] == request.headers["Authorization"]


def test_a_file_that_cannot_go_there_whole_leaves_no_parts(
    bucket: Bucket, object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(bytes(LEAST_PART * 2))
    tag = Bucket._tag

    def failing(self: Bucket, name: str, content: memoryview, query: str) -> str:
        if "partNumber=2" in query:
            assert len(object_store.uploads()) == 1
            raise RefusedError("no")
        return tag(self, name, content, query)

    monkeypatch.setattr(Bucket, "_tag", failing)
    with pytest.raises(RefusedError, match="no"):
        bucket.put("00", str(tmp_path / "a"))
    assert object_store.uploads() == []
