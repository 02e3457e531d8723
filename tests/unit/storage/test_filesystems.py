import subprocess
import sys
from importlib import import_module

import pytest

from cwl_prefect.errors import StorageError, UsageError
from cwl_prefect.storage.failures import storage_errors
from cwl_prefect.storage.filesystems import filesystem


def test_an_object_is_read_by_its_url(object_store):
    files, path = filesystem(object_store.put("dir/a.txt", b"hello"))

    assert path == "data/dir/a.txt"
    assert files.cat_file(path) == b"hello"


def test_what_another_program_wrote_meanwhile_is_listed(object_store):
    object_store.put("dir/a", b"")
    files, _ = filesystem(object_store.url("dir"))
    files.ls("data/dir")
    object_store.put("dir/b", b"")

    assert files.ls("data/dir", detail=False) == ["data/dir/a", "data/dir/b"]


@pytest.mark.parametrize(
    ("scheme", "package", "advice"),
    [
        ("s3", "s3fs", "pip install 'cwl-prefect[s3]'"),
        ("gs", "gcsfs", "pip install 'cwl-prefect[gcs]'"),
        ("az", "adlfs", "pip install 'cwl-prefect[azure]'"),
        ("abfss", "adlfs", "pip install 'cwl-prefect[azure]'"),
        ("sftp", "sshfs", "pip install 'cwl-prefect[sftp]'"),
    ],
)
def test_a_package_that_is_missing_is_named_by_its_extra(scheme, package, advice, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(import_module("fsspec.registry")._registry, scheme, raising=False)

    with pytest.raises(UsageError) as raised:
        filesystem(f"{scheme}://user:secret@host/a")

    assert advice in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_scheme_that_nothing_reads_is_an_error_that_names_those_that_are_read():
    with pytest.raises(UsageError, match=r"gopher://host/a: no file system takes URLs with gopher(?s:.*)s3"):
        filesystem("gopher://host/a")


def test_each_stage_has_variables_of_its_own(object_store, monkeypatch):
    url, endpoint = object_store.put("a", b"a"), object_store.endpoint
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    said = {"SERVICEURL": endpoint, "REGION": "eu-1", "ACCESS_KEY_ID": "me", "SECRET_ACCESS_KEY": "sesame"}
    for name, value in said.items():
        monkeypatch.setenv(f"ADES_STAGEIN_AWS_{name}", value)

    files, path = filesystem(url, stage="STAGEIN")
    assert files.cat_file(path) == b"a"
    assert files.client_kwargs == {"region_name": "eu-1"}
    for stage in ("STAGEOUT", None):
        other, _ = filesystem(url, stage=stage)
        assert (other.key, other.secret, other.endpoint_url) == (None, None, None)


def test_nothing_is_imported_before_a_url_asks_for_it():
    script = (
        "import sys, cwl_prefect.storage.filesystems, cwl_prefect._lib.locations\n"
        "names = ('fsspec', 's3fs', 'gcsfs', 'adlfs', 'sshfs', 'aiohttp', 'botocore')\n"
        "print([name for name in names if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_keys_of_hosts_are_checked(monkeypatch):
    seen = {}
    monkeypatch.setattr("sshfs.SSHFileSystem.__init__", lambda self, **options: seen.update(options))
    filesystem("sftp://user@host/dir/a")

    assert seen["known_hosts"] == ()  # None would accept any


def refused(code, status=403):
    """Return what s3fs raises of an answer of S3."""
    from botocore.exceptions import ClientError
    from s3fs.errors import translate_boto_error

    answer = {"Error": {"Code": code, "Message": "secret"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return translate_boto_error(ClientError(answer, "GetObject"))


@pytest.mark.parametrize(
    ("code", "says", "advice"),
    [
        ("NoSuchKey", "there is no such object", "Check the address"),
        ("NoSuchBucket", "there is no such object", "Check the address"),
        ("AccessDenied", "you have no right to it", "Ask its owner"),
        ("InvalidAccessKeyId", "there are no credentials, or they are not accepted", "AWS_PROFILE"),
        ("PermanentRedirect", "the bucket is in another region", "AWS_DEFAULT_REGION"),
        ("SlowDown", "the server is asked too often", "Wait"),
        ("RequestTimeTooSkewed", "the clock of this machine differs", "Set the clock"),
        ("ExpiredToken", "the token has expired", "Log in again"),
        ("InternalError", "the server does not answer", "run again"),
        ("PreconditionFailed", "it changed meanwhile", "Run again"),
    ],
)
def test_what_a_store_answers_is_told_in_words(code, says, advice):
    with pytest.raises(StorageError) as raised, storage_errors("read", "s3://bucket/a?sig=hidden"):
        raise refused(code)

    text = str(raised.value)
    assert text.startswith(f"s3://bucket/a?… cannot be read: {says}")
    assert advice in text
    assert "hidden" not in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("code", "passing", "missing"),
    [("SlowDown", True, False), ("NoSuchKey", False, True), ("AccessDenied", False, False)],
)
def test_errors_tell_whether_waiting_helps_and_whether_nothing_is_there(code, passing, missing):
    with pytest.raises(StorageError) as raised, storage_errors("read", "s3://bucket/a"):
        raise refused(code)

    assert (raised.value.passing, raised.value.missing) == (passing, missing)


def test_a_foreign_error_that_nobody_knows_shows_its_kind_and_no_text():
    says = pytest.raises(StorageError, match=r"^s3://bucket/a cannot be written: ValueError\.")
    with says as raised, storage_errors("written", "s3://bucket/a"):
        raise ValueError("signed with secret")

    assert "secret" not in str(raised.value)


def test_a_missing_object_of_a_real_store_is_told(object_store):
    files, path = filesystem(object_store.url("none"))

    says = pytest.raises(StorageError, match="there is no such object")
    with says as raised, storage_errors("read", object_store.url("none")):
        files.cat_file(path)

    assert raised.value.missing


def test_no_credentials_are_told(object_store, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    files, path = filesystem(object_store.url("a"))

    says = pytest.raises(StorageError, match=r"no credentials(?s:.*)FSSPEC_S3_ANON=true")
    with says, storage_errors("read", object_store.url("a")):
        files.cat_file(path)
