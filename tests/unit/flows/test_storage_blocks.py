"""Blocks of Prefect as credentials, by what the API tells of them."""

from collections.abc import Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import prefect
import pytest
from prefect.exceptions import ObjectNotFound

from cwl_prefect.errors import CwlPrefectError, ServerError, UsageError
from cwl_prefect.flows import storage_blocks
from cwl_prefect.flows.storage_blocks import lent_by_block
from cwl_prefect.settings import Settings
from cwl_prefect.storage.credentials import Credentials, lent

AWS = {
    "aws_access_key_id": "AKIA",
    "aws_secret_access_key": "sesame",
    "aws_session_token": None,
    "region_name": "eu-1",
    "aws_client_parameters": {"endpoint_url": "http://store:9000", "use_ssl": False, "verify": True},
}
AS_OPTIONS = {
    "key": "AKIA",
    "secret": "sesame",
    "endpoint_url": "http://store:9000",
    "use_ssl": False,
    "client_kwargs": {"region_name": "eu-1", "verify": True},
}
MINIO = {"minio_root_user": "AKIA", "minio_root_password": "sesame", "region_name": None}
KEY = {"type": "service_account", "private_key": "-----BEGIN"}


class Api:
    """Answers for blocks as Prefect's client does."""

    def __init__(self) -> None:
        self.blocks: dict[str, Mapping[str, Any]] = {}
        self.status = httpx.codes.NOT_FOUND

    async def read_block_document_by_name(self, name: str, slug: str, *, include_secrets: bool) -> SimpleNamespace:
        assert include_secrets
        if f"{slug}/{name}" in self.blocks:
            return SimpleNamespace(block_type=SimpleNamespace(slug=slug), data=self.blocks[f"{slug}/{name}"])
        request = httpx.Request("GET", "http://api")
        error = httpx.HTTPStatusError("no", request=request, response=httpx.Response(self.status, request=request))
        raise ObjectNotFound(http_exc=error) if self.status == httpx.codes.NOT_FOUND else error


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    """An API without blocks, to which everybody is connected."""
    found = Api()

    @asynccontextmanager
    async def client() -> Any:
        yield found

    @asynccontextmanager
    async def connected(_: Settings) -> Any:
        yield

    monkeypatch.setattr(prefect, "get_client", client)
    monkeypatch.setattr(storage_blocks, "connected", connected)
    return found


async def credentials(name: str) -> Credentials:
    with await lent_by_block(Settings(storage_block=name)):
        found = lent()
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("kind", "data", "url", "options"),
    [
        (
            "remote-file-system",
            {"basepath": "s3://data/x", "settings": {"key": "a", "secret": "b"}},
            "s3://data/x",
            {"key": "a", "secret": "b"},
        ),
        ("aws-credentials", AWS, "s3://", AS_OPTIONS),
        ("s3-bucket", {"bucket_name": "data", "credentials": AWS}, "s3://", AS_OPTIONS),
        ("minio-credentials", MINIO, "s3://", {"key": "AKIA", "secret": "sesame", "client_kwargs": {}}),
        ("gcp-credentials", {"service_account_info": KEY, "project": "p"}, "gs://", {"token": KEY, "project": "p"}),
        ("gcs-bucket", {"gcp_credentials": {"service_account_file": "/key"}}, "gs://", {"token": "/key"}),
        (
            "azure-blob-storage-credentials",
            {"account_url": "https://lab.blob.core.windows.net/"},
            "az://",
            {"account_name": "lab", "account_host": "lab.blob.core.windows.net"},
        ),
        (
            "azure-blob-storage-container",
            {"credentials": {"connection_string": "AccountKey=k"}},
            "az://",
            {"connection_string": "AccountKey=k"},
        ),
    ],
)
async def test_a_block_gives_the_options_of_its_file_system(api, kind, data, url, options):
    api.blocks[f"{kind}/mine"] = data
    for name in ("mine", f"{kind}/mine"):
        found = await credentials(name)
        assert (found.name, found.url, found.options) == (name, url, options)


async def test_no_block_is_read_where_none_is_named(monkeypatch):
    monkeypatch.setattr(storage_blocks, "connected", None)
    with await lent_by_block(Settings()):
        assert lent() is None


async def test_what_is_lent_already_is_not_read_again(api):
    api.blocks["aws-credentials/mine"] = AWS
    with await lent_by_block(Settings(storage_block="mine")):
        api.blocks.clear()
        with await lent_by_block(Settings(storage_block="mine")):
            assert lent().name == "mine"


@pytest.mark.parametrize(
    ("name", "blocks", "error", "told"),
    [
        ("mine", {}, UsageError, r"There is no storage block mine(?s:.*)prefect block ls"),
        ("s3-bucket/mine", {"aws-credentials/mine": AWS}, UsageError, "There is no storage block s3-bucket/mine"),
        ("secret/mine", {"secret/mine": {"value": "sesame"}}, UsageError, r"holds no credentials(?s:.*)s3-bucket"),
        (
            "mine",
            {"aws-credentials/mine": AWS, "s3-bucket/mine": {"credentials": AWS}},
            UsageError,
            r"several storage blocks mine(?s:.*)s3-bucket/mine, aws-credentials/mine",
        ),
        ("mine", {"remote-file-system/mine": {"basepath": "smb://h/a"}}, UsageError, r"is for smb(?s:.*)s3"),
        (
            "mine",
            {"aws-credentials/mine": {**AWS, "aws_secret_access_key": "********"}},
            ServerError,
            "does not tell the secret values",
        ),
    ],
)
async def test_what_is_wrong_with_a_block_is_told_without_its_values(api, name, blocks, error, told):
    api.blocks |= blocks
    with pytest.raises(error, match=told) as caught:
        await credentials(name)
    assert "sesame" not in str(caught.value)


async def test_an_api_that_does_not_let_it_be_read_is_told(api):
    api.status = httpx.codes.FORBIDDEN
    with pytest.raises(ServerError, match=r"storage block s3-bucket/mine cannot be read: it answers 403") as caught:
        await credentials("s3-bucket/mine")
    assert isinstance(caught.value, CwlPrefectError)


@pytest.mark.parametrize("name", ["", "a/b/c", "/a", "A b/c"])
def test_a_name_that_no_block_has_is_refused(name):
    with pytest.raises(ValueError, match="storage_block"):
        Settings(storage_block=name)
