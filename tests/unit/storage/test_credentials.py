"""Credentials that are lent: what they are for, and where nobody sees them."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from cwl_prefect._lib.threads import in_thread
from cwl_prefect.engine.cache.remote import open_remote
from cwl_prefect.engine.records.secrets import secret_texts
from cwl_prefect.errors import StorageError
from cwl_prefect.storage.credentials import Credentials, lending, lent
from cwl_prefect.storage.downloads import in_parallel
from cwl_prefect.storage.failures import storage_errors
from cwl_prefect.storage.filesystems import filesystem
from tests.plans import workflow


def credentials(url: str = "s3://bucket/prefix", **options: object) -> Credentials:
    return Credentials(name="data", url=url, options=options or {"key": "letmein", "secret": "open-sesame"})


@pytest.mark.parametrize(
    ("own", "url", "fit"),
    [
        ("s3://bucket/prefix", "s3://other/a", True),
        ("s3a://bucket", "s3://bucket/a", True),
        ("gcs://bucket", "gs://bucket/a", True),
        ("az://container", "abfss://container@account.dfs.core.windows.net/a", True),
        ("s3://bucket", "gs://bucket/a", False),
        ("s3://bucket", "https://bucket.s3.amazonaws.com/a", False),
        ("sftp://host/dir", "sftp://host/other", True),
        ("sftp://host/dir", "sftp://other/dir", False),
        ("https://host", "https://host.evil.example/a", False),
        ("https://host", "http://host/a", False),
        ("https://host", "https://host:8443/a", False),
    ],
)
def test_they_are_for_a_store_or_for_one_host(own, url, fit):
    assert credentials(own).fit(url) is fit


@pytest.mark.parametrize(
    "options",
    [
        {"key": "k", "secret": "s", "token": "t"},
        {"client_kwargs": {"aws_access_key_id": "k", "aws_secret_access_key": "s", "aws_session_token": "t"}},
    ],
)
def test_what_is_secret_of_a_store_of_s3_s_kind_is_told_as_variables(options):
    found = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}
    assert credentials(**options).secret_variables == found
    assert credentials("gs://bucket", **options).secret_variables == {}
    assert credentials(key="k", token="t").secret_variables == {}


def test_a_store_is_read_with_them(object_store, monkeypatch):
    url = object_store.put("a", b"hello")
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)

    client = {"endpoint_url": object_store.endpoint, "region_name": "eu-1"}
    with lending(credentials(key="testing", secret="testing", client_kwargs=client)):
        files, path = filesystem(url)
    assert files.cat_file(path) == b"hello"

    with pytest.raises(Exception, match="credentials"):
        filesystem(url)[0].cat_file(path)


def test_a_stage_s_own_variables_go_over_them(monkeypatch):
    monkeypatch.setenv("ADES_STAGEIN_AWS_REGION", "eu-1")
    with lending(credentials(client_kwargs={"region_name": "us-1", "verify": False})):
        files, _ = filesystem("s3://bucket/a", stage="STAGEIN")
    assert files.client_kwargs == {"region_name": "eu-1", "verify": False}


async def test_threads_that_work_for_the_borrower_have_them_and_no_others():
    with ThreadPoolExecutor(1) as threads:
        with lending(credentials()):
            assert (await in_thread(threads, lent)).name == "data"
            assert await asyncio.to_thread(in_parallel, lambda _: lent().name, "ab", Event()) == dict.fromkeys(
                "ab", "data"
            )
        assert await in_thread(threads, lent) is None
    assert lent() is None


def test_nobody_sees_them():
    found = credentials(
        key="letmein",
        secret="open-sesame",
        token={"type": "service_account", "private_key": "-----BEGIN"},
        auth=["Ada", "password-1"],
        client_kwargs={"headers": {"Authorization": "Bearer abc"}, "region_name": "eu-west-1"},
        endpoint_url="https://store.example",
    )
    assert set(found.secret) == {"letmein", "open-sesame", "-----BEGIN", "password-1", "Bearer abc"}
    assert not any(text in repr(found) for text in found.secret)
    with lending(found):
        assert set(secret_texts(workflow(), {})) == set(found.secret)
    assert secret_texts(workflow(), {}) == ()


def test_a_failure_names_where_they_are_from():
    with (
        lending(credentials()),
        pytest.raises(StorageError, match=r"s3://b/a cannot be read(?s:.*)values of the storage block data"),
        storage_errors("read", "s3://b/a"),
    ):
        raise _NoCredentialsError


class _NoCredentialsError(Exception):
    response = {"Error": {"Code": "InvalidAccessKeyId"}}  # noqa: RUF012 - as botocore has it


def test_what_pods_are_told_openly_is_no_secret():
    found = credentials(key="k", secret="s", endpoint_url="http://store:9000", client_kwargs={"region_name": "eu-1"})
    assert found.store_variables == {"AWS_ENDPOINT_URL_S3": "http://store:9000", "AWS_REGION": "eu-1"}
    assert credentials("gs://bucket", endpoint_url="http://store").store_variables == {}


def test_a_call_cache_in_a_store_is_used_with_them(object_store, monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)

    client = {"endpoint_url": object_store.endpoint, "region_name": "eu-1"}
    with lending(credentials(key="testing", secret="testing", client_kwargs=client)):
        open_remote(object_store.url("cache")).write_entry("ab" * 32, b"{}")

    assert object_store.keys("cache/") == [f"cache/entries/ab/{'ab' * 32}"]
