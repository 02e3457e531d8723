"""Objects of a store of S3's kind, as pods read and write them, where nothing but Python is.

The driver uses :mod:`cwl_prefect.storage`; to start that takes ten times as long, in each pod twice. Little is
imported here: each pod reads it twice too, and compiles it where its image has no compiled library.
"""

import hashlib
import hmac
import mmap
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from threading import local
from typing import NamedTuple, TypeVar
from urllib.parse import quote, urlsplit

_TRIES, _SILENT_S = 6, 60.0
_PASSING = frozenset({429, 500, 502, 503, 504})
_BLOCK = 1024 * 1024
_PART = 512 * 1024 * 1024  # bytes from which a file goes in parts; S3 takes 5 GiB at once, and 10,000 parts
_RENEWED = timedelta(days=1)
_UNSIGNED = "UNSIGNED-PAYLOAD"
_FAILURES = 300

NOT_FOUND = 404
"""Status of an answer where nothing is there."""

T = TypeVar("T")


def blob(sha1: str) -> str:
    """Return the name of what has a digest."""
    return f"blobs/sha1/{sha1[:2]}/{sha1}"


class RefusedError(Exception):
    """A store does not do what it is asked for.

    Attributes:
        status: What it answered.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Credentials(NamedTuple):
    """What requests are signed with, see :func:`signed`."""

    key_id: str
    secret: str
    token: str | None
    region: str


def signed(method: str, url: str, credentials: Credentials, at: datetime) -> dict[str, str]:
    """Return the headers of a request for S3 with its signature (Amazon S3, "Signature calculation", version 4).

    Args:
        method: Method of the request.
        url: Its URL, quoted, with the names of the query in order.
        credentials: What to sign with.
        at: The time, UTC.
    """
    parts = urlsplit(url)
    stamp = at.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": parts.netloc, "x-amz-content-sha256": _UNSIGNED, "x-amz-date": stamp}
    if credentials.token:
        headers["x-amz-security-token"] = credentials.token
    names = ";".join(sorted(headers))
    lines = [f"{name}:{headers[name]}" for name in sorted(headers)]
    asked = "\n".join([method, parts.path, parts.query, *lines, "", names, _UNSIGNED])
    scope = f"{stamp[:8]}/{credentials.region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(asked.encode()).hexdigest()])
    key = f"AWS4{credentials.secret}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    told = f"Credential={credentials.key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": f"AWS4-HMAC-SHA256 {told}"}


class Bucket:
    """A prefix of an object store of S3's kind.

    Args:
        url: ``s3://BUCKET/PREFIX``.
        environment: Variables with the credentials, and the address of a store that is not Amazon's.
        part: Bytes from which a file goes in parts.

    Raises:
        RefusedError: There are no credentials.
    """

    def __init__(self, url: str, environment: Mapping[str, str], *, part: int = _PART) -> None:
        region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
        endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
        try:
            key_id, secret = environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]
        except KeyError as error:
            raise RefusedError(f"{url}: the pod has no {error.args[0]}") from None
        self._credentials = Credentials(key_id, secret, environment.get("AWS_SESSION_TOKEN"), region)
        self._endpoint = (endpoint or f"https://s3.{region}.amazonaws.com").rstrip("/")
        self._url = url.rstrip("/")
        self._part = part
        self._kept = local()  # the connection of each thread

    def size(self, name: str) -> int | None:
        """Return how many bytes an object has; None where there is none.

        Raises:
            RefusedError: The store does not tell.
        """
        about = self._about(name)
        return None if about is None else about[0]

    def read(self, name: str) -> bytes:
        """Return an object.

        Raises:
            RefusedError: There is none, or it cannot be read.
        """
        return self._answer("GET", name)

    def get(self, sha1: str, place: str) -> None:
        """Write what has a digest to a path, checked.

        Raises:
            RefusedError: It is not there, cannot be read, or is damaged.
        """

        def copy() -> None:
            """Write it from the beginning."""
            found = hashlib.sha1(usedforsecurity=False)
            with self._opened("GET", blob(sha1)) as answer, open(place, "wb") as stream:
                while block := answer.read(_BLOCK):
                    found.update(block)
                    stream.write(block)
            if found.hexdigest() != sha1:
                raise HTTPException("it is not whole")

        self._patiently(copy, blob(sha1))

    def put(self, sha1: str, place: str) -> None:
        """Upload a file that is not empty by its digest, unless it is there and not older than a day.

        An older one is written again, so that no rule which removes old objects finds one that is in use.

        Raises:
            RefusedError: The store does not take it.
        """
        if self._is_fresh(blob(sha1)):
            return
        with (
            open(place, "rb") as stream,
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content,
            memoryview(content) as whole,
        ):
            if len(whole) <= self._part:
                self._answer("PUT", blob(sha1), whole)
            else:
                self._put_parts(blob(sha1), whole)

    def write(self, name: str, content: bytes) -> None:
        """Write a small object.

        Raises:
            RefusedError: The store does not take it.
        """
        self._answer("PUT", name, content)

    def _is_fresh(self, name: str) -> bool:
        about = self._about(name)
        return about is not None and datetime.now(UTC) - about[1] < _RENEWED

    def _about(self, name: str) -> tuple[int, datetime] | None:
        """Return the size of an object, and when it was written; None where there is none."""

        def ask() -> tuple[int, datetime]:
            """Ask for it."""
            with self._opened("HEAD", name) as answer:
                return int(answer.headers["Content-Length"]), parsedate_to_datetime(answer.headers["Last-Modified"])

        try:
            return self._patiently(ask, name)
        except RefusedError as error:
            if error.status != NOT_FOUND:
                raise
            return None

    def _put_parts(self, name: str, whole: memoryview) -> None:
        begun = self._answer("POST", name, query="uploads=").decode()
        upload = quote(_tagged("UploadId", begun), safe="")
        try:
            self._put_and_complete(name, whole, upload)
        except BaseException:
            with suppress(RefusedError):  # what stays there is ended once it is old
                self._answer("DELETE", name, query=f"uploadId={upload}")
            raise

    def _put_and_complete(self, name: str, whole: memoryview, upload: str) -> None:
        tags = []
        for number, start in enumerate(range(0, len(whole), self._part), start=1):
            with whole[start : start + self._part] as content:
                tags.append(self._tag(name, content, f"partNumber={number}&uploadId={upload}"))
        parts = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{tag}</ETag></Part>" for n, tag in enumerate(tags, 1))
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        ended = self._answer("POST", name, body, query=f"uploadId={upload}").decode()
        if "<Error>" in ended:  # which comes with the status 200
            raise RefusedError(f"{self._url}/{name}: {_tagged('Code', ended)}")

    def _tag(self, name: str, content: memoryview, query: str) -> str:
        def upload() -> str:
            """Upload a part."""
            with self._opened("PUT", name, content, query) as answer:
                return str(answer.headers["ETag"])

        return self._patiently(upload, name)

    def _answer(self, method: str, name: str, body: bytes | memoryview | None = None, *, query: str = "") -> bytes:
        def ask() -> bytes:
            """Ask once."""
            with self._opened(method, name, body, query) as answer:
                return bytes(answer.read())

        return self._patiently(ask, name)

    @contextmanager
    def _opened(
        self, method: str, name: str, body: bytes | memoryview | None = None, query: str = ""
    ) -> Iterator[HTTPResponse]:
        """Yield the answer to a request, by the connection of this thread, which the next one goes by too."""
        path = quote(f"{self._url.partition('://')[2]}/{name}")
        url = f"{self._endpoint}/{path}" + (f"?{query}" if query else "")
        headers = signed(method, url, self._credentials, datetime.now(UTC))
        headers |= {"content-length": str(0 if body is None else len(body)), "content-type": "application/octet-stream"}
        connection = self._connection()
        try:
            connection.request(method, url[url.index("/", url.index("://") + 3) :], body, headers)
            answer = connection.getresponse()
            if answer.status >= _FAILURES:
                raise _StatusError(answer.status, answer.read(_BLOCK))  # noqa: TRY301 - the connection is closed then
            yield answer
            answer.read()  # else the next answer would begin with what is left of this one
        except BaseException:
            connection.close()
            raise

    def _connection(self) -> HTTPConnection:
        if not hasattr(self._kept, "connection"):
            where = urlsplit(self._endpoint)
            kind = HTTPSConnection if where.scheme == "https" else HTTPConnection
            self._kept.connection = kind(where.hostname or "", where.port, timeout=_SILENT_S)
        found: HTTPConnection = self._kept.connection  # which connects anew once it was closed
        return found

    def _patiently(self, ask: Callable[[], T], name: str) -> T:
        """Ask, and again where the failure may pass by itself."""
        for tries in range(1, _TRIES + 1):
            try:
                return ask()
            except _StatusError as error:
                if error.status not in _PASSING or tries == _TRIES:
                    raise RefusedError(f"{self._url}/{name}: {error}", status=error.status) from None
            except (HTTPException, OSError) as error:
                if tries == _TRIES:
                    raise RefusedError(f"{self._url}/{name}: {error}") from None
            time.sleep(0.25 * 2**tries)
        raise AssertionError


class _StatusError(Exception):
    """A store answered with a failure: what it says, its status last."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{_tagged('Code', body.decode('utf-8', 'replace'))} {status}".strip())
        self.status = status


def _tagged(tag: str, text: str) -> str:
    found = re.search(f"<{tag}>([^<]*)</{tag}>", text)
    return found[1] if found else ""
