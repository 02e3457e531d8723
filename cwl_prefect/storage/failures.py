"""What file systems raise, as errors of this package: the only place that reads foreign exceptions."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cwl_prefect._lib.locations import scheme_of, shown_url
from cwl_prefect.errors import CwlPrefectError, StorageError
from cwl_prefect.storage.credentials import lent_for

_CREDENTIALS = {
    "s3": "Give credentials by AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_ENDPOINT_URL for a "
    "store that is not Amazon's; for a public bucket set FSSPEC_S3_ANON=true.",
    "gs": "Run `gcloud auth application-default login`, or name a key file by GOOGLE_APPLICATION_CREDENTIALS.",
    "az": "Run `az login`, or set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY.",
    "abfs": "Run `az login`, or set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY.",
    "abfss": "Run `az login`, or set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY.",
    "http": "Put login and password for the host into ~/.netrc, or ask for a signed URL.",
    "https": "Put login and password for the host into ~/.netrc, or ask for a signed URL.",
    "drs": "Put login and password for the host into ~/.netrc; tokens are not sent.",
    "sftp": "Load your key into the agent of SSH, or name it in ~/.ssh/config.",
    "ftp": "Ask who keeps the server for the user to log in as.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Problem:
    """A kind of failure.

    Attributes:
        marks: Codes of answers and names of exception classes, each of which tells it.
        why: What is wrong.
        hint: What to do; None: give credentials, each scheme in its way.
        passing: Whether it may go away by itself.
        missing: Whether it says that nothing is there.
    """

    marks: frozenset[str]
    why: str
    hint: str | None
    passing: bool = False
    missing: bool = False


_PROBLEMS = (
    _Problem(
        marks=frozenset({"InnerAddressError"}),
        why="it leads into the network of this machine, and only what nobody trusts names it",
        hint="Name it in the job order, or let documents and catalogs name it by CWL_PREFECT_ALLOW_URL.",
    ),
    _Problem(
        marks=frozenset({"RequestTimeTooSkewed"}),
        why="the clock of this machine differs too much from that of the server",
        hint="Set the clock, as by NTP, and run again.",
    ),
    _Problem(
        marks=frozenset(
            {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken", "TokenRetrievalError"}
            | {"UnauthorizedSSOTokenError", "SSOTokenLoadError", "RefreshError"}
        ),
        why="the token has expired or is not valid",
        hint="Log in again, as by `aws sso login`, or ask for another token, and run again.",
    ),
    _Problem(
        marks=frozenset({"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}),
        why="the bucket is in another region",
        hint="Name the bucket's region by AWS_DEFAULT_REGION.",
    ),
    _Problem(
        marks=frozenset(
            {"SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException", "RequestLimitExceeded"}
            | {"TooManyRequests", "ServerBusy", "429", "503"}
        ),
        why="the server is asked too often",
        hint="Wait, then run again; fewer runs at a time ask less.",
        passing=True,
    ),
    _Problem(
        marks=frozenset({"HostKeyNotVerifiable"}),
        why="the key of the host is not known",
        hint="Connect by `ssh` once and accept the host's key, which goes into ~/.ssh/known_hosts.",
    ),
    _Problem(
        marks=frozenset(
            {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "InvalidAccessKeyId", "401", "530"}
            | {"SignatureDoesNotMatch", "CredentialUnavailableError", "DefaultCredentialsError", "PermissionDenied"}
            | {"ClientAuthenticationError", "AuthenticationFailed", "NoAuthenticationInformation"}
        ),
        why="there are no credentials, or they are not accepted",
        hint=None,
    ),
    _Problem(
        marks=frozenset({"AccessDenied", "AllAccessDisabled", "403", "AuthorizationFailure", "PermissionError"}),
        why="you have no right to it",
        hint="Ask its owner for the right, and check with which credentials you ask.",
    ),
    _Problem(
        marks=frozenset({"PreconditionFailed", "ConditionNotMet", "412"}),
        why="it changed meanwhile",
        hint="Run again once nobody writes it any more.",
        passing=True,
    ),
    _Problem(
        marks=frozenset(
            {"EndpointConnectionError", "ConnectionError", "ClientConnectionError", "ClientPayloadError", "gaierror"}
            | {"TimeoutError", "HTTPClientError", "ConnectionLost", "EOFError", "InternalError", "RequestTimeout"}
            | {"ServiceRequestError", "ServiceResponseError", "500", "502", "504", "408", "421", "425", "426"}
        ),
        why="the server does not answer, or the connection was cut",
        hint="Check the address and the network, and run again: what was fetched is kept.",
        passing=True,
    ),
    _Problem(
        marks=frozenset({"NoSuchKey", "NoSuchBucket", "NoSuchVersion", "FileNotFoundError", "404", "410", "550"})
        | {"BlobNotFound", "ContainerNotFound", "ResourceNotFoundError", "SFTPNoSuchFile"},
        why="there is no such object",
        hint="Check the address.",
        missing=True,
    ),
)


@contextmanager
def storage_errors(verb: str, url: str) -> Iterator[None]:
    """Turn whatever a file system raises into an error of this package.

    Args:
        verb: What is done, as a participle: ``read``, ``written``.
        url: Where.

    Raises:
        StorageError: It failed.
    """
    try:
        yield
    except CwlPrefectError:
        raise
    except Exception as error:
        raise _storage_error(error, verb, url) from error


def _storage_error(error: Exception, verb: str, url: str) -> StorageError:
    marks = frozenset(_marks(error))
    what = f"{shown_url(url)} cannot be {verb}"
    for problem in _PROBLEMS:
        if problem.marks & marks:
            hint = problem.hint or _credentials_hint(url)
            return StorageError(f"{what}: {problem.why}.", hint=hint, passing=problem.passing, missing=problem.missing)
    # The text of a foreign exception may hold what is signed; its class and codes hold nothing.
    codes = ", ".join(sorted(_codes(error))) or type(error).__name__
    return StorageError(f"{what}: {codes}.", hint="Check the address and the settings of its file system.")


def _credentials_hint(url: str) -> str:
    lent = lent_for(url)
    if lent is not None:
        return f"Check the values of the storage block {lent.name}."
    return _CREDENTIALS.get(scheme_of(url), "Check the credentials.")


def _marks(error: BaseException) -> Iterator[str]:
    for each in _chain(error):
        yield from _codes(each)
        yield from (kind.__name__ for kind in type(each).__mro__)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


def _codes(error: BaseException) -> Iterator[str]:
    response = getattr(error, "response", None)  # of botocore
    if isinstance(response, dict):
        yield str(response.get("Error", {}).get("Code", ""))
    of_aiohttp = getattr(error, "status", None)
    names = ("status_code", "error_code", "code") if of_aiohttp is None else ()  # of Azure and Google
    for value in (of_aiohttp, *(getattr(error, name, None) for name in names)):
        if isinstance(value, int | str):
            yield str(value)
    if type(error).__module__ == "ftplib":
        yield str(error)[:3]
