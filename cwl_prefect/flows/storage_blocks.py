"""Blocks of Prefect that hold the credentials of a store, read as data: the packages of their types are not needed."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cwl_prefect._lib.locations import REMOTE_SCHEMES, scheme_of
from cwl_prefect.errors import ServerError, UsageError
from cwl_prefect.flows.session import connected
from cwl_prefect.server.failures import api_failures
from cwl_prefect.settings import Settings
from cwl_prefect.storage.credentials import Credentials, lending, lent

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import BlockDocument

Data = Mapping[str, object]


async def lent_by_block(settings: Settings) -> AbstractContextManager[None]:
    """Return what lets the code within it use the credentials of the block that settings name, if they name one.

    Raises:
        UsageError: There is no such block, or it is none of a store.
        ServerError: No Prefect API can be reached or started, or it does not let the block be read.
    """
    name, known = settings.storage_block, lent()
    if name is None or (known is not None and known.name == name):
        return lending(None)
    from prefect import get_client

    with api_failures(f"The storage block {name} cannot be read"):
        async with connected(settings), get_client() as client:
            found = await _found(name, client)
    return lending(_credentials(name, found))


async def _found(name: str, client: "PrefectClient") -> "BlockDocument":
    """Return the block of a name, which may have its type in front."""
    kind, _, own = name.rpartition("/")
    blocks = [each for slug in ([kind] if kind else _TYPES) if (each := await _block(own, slug, client)) is not None]
    if not blocks:
        raise UsageError(
            f"There is no storage block {name}.",
            hint="`prefect block ls` lists blocks; name one as TYPE/NAME, as in s3-bucket/data.",
        )
    if len(blocks) > 1:
        raise UsageError(
            f"There are several storage blocks {name}.",
            hint=f"Name one with its type: {', '.join(f'{_slug(each)}/{own}' for each in blocks)}.",
        )
    return blocks[0]


async def _block(name: str, slug: str, client: "PrefectClient") -> "BlockDocument | None":
    from prefect.exceptions import ObjectNotFound

    try:
        return await client.read_block_document_by_name(name, slug, include_secrets=True)
    except ObjectNotFound:
        return None


def _slug(block: "BlockDocument") -> str:
    return "" if block.block_type is None else block.block_type.slug


def _credentials(name: str, block: "BlockDocument") -> Credentials:
    read = _TYPES.get(_slug(block))
    if read is None:
        raise UsageError(
            f"The block {name} holds no credentials of a store.", hint=f"Name one of these types: {', '.join(_TYPES)}."
        )
    url, options = read(block.data)
    found = Credentials(name=name, url=url, options={key: value for key, value in options.items() if value is not None})
    if scheme_of(url) not in REMOTE_SCHEMES:
        raise UsageError(
            f"The storage block {name} is for {scheme_of(url) or 'paths'}, which holds no data of runs.",
            hint=f"Name one for {', '.join(sorted(REMOTE_SCHEMES))}.",
        )
    if any(set(text) == {"*"} for text in found.secret):
        raise ServerError(
            f"The Prefect API does not tell the secret values of the storage block {name}.",
            hint="Use an API key that may read blocks.",
        )
    return found


def _of_fsspec(data: Data) -> tuple[str, Data]:
    return str(data.get("basepath") or ""), _inner(data, "settings")


def _of_aws(data: Data) -> tuple[str, Data]:
    more = _inner(data, "aws_client_parameters")
    verify = more.get("verify_cert_path") or more.get("verify")
    client = {"region_name": data.get("region_name"), "verify": verify}
    return "s3://", {
        "key": data.get("aws_access_key_id") or data.get("minio_root_user"),
        "secret": data.get("aws_secret_access_key") or data.get("minio_root_password"),
        "token": data.get("aws_session_token"),
        "profile": data.get("profile_name"),
        "endpoint_url": more.get("endpoint_url"),
        "use_ssl": more.get("use_ssl"),
        "client_kwargs": {name: value for name, value in client.items() if value is not None},
    }


def _of_google(data: Data) -> tuple[str, Data]:
    token = data.get("service_account_info") or data.get("service_account_file")
    return "gs://", {"token": token, "project": data.get("project")}


def _of_azure(data: Data) -> tuple[str, Data]:
    account = urlsplit(str(data.get("account_url") or "")).hostname
    name = None if account is None else account.partition(".")[0]
    return "az://", {"connection_string": data.get("connection_string"), "account_name": name, "account_host": account}


def _inner(data: Data, name: str) -> Data:
    found = data.get(name)
    return found if isinstance(found, Mapping) else {}


_TYPES: Mapping[str, Callable[[Data], tuple[str, Data]]] = {
    "remote-file-system": _of_fsspec,
    "s3-bucket": lambda data: _of_aws(_inner(data, "credentials")),
    "aws-credentials": _of_aws,
    "minio-credentials": _of_aws,
    "gcs-bucket": lambda data: _of_google(_inner(data, "gcp_credentials")),
    "gcp-credentials": _of_google,
    "azure-blob-storage-container": lambda data: _of_azure(_inner(data, "credentials")),
    "azure-blob-storage-credentials": _of_azure,
}
"""Types of blocks, and what reads the URLs that one is for and the options of their file system from its values."""
