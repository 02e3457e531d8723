"""Talking to a Kubernetes API server: patient with one that is busy or away, and errors in our own words."""

import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from pydantic import JsonValue
from tenacity import AsyncRetrying, retry_if_exception, wait_random_exponential

from cwl_prefect.backends.kubernetes.api.credentials import ClusterConfig, Credentials, remove_files
from cwl_prefect.backends.kubernetes.objects import KubernetesObject, parts, read, text
from cwl_prefect.errors import BackendError

if TYPE_CHECKING:
    from aiohttp import ClientResponse
    from kubernetes_asyncio.client import ApiClient

REQUEST_TIMEOUT_S = 30.0
PATIENCE_S = 600.0
FIRST_PATIENCE_S = 60.0
"""Seconds after which a server is given up that never answered: its address is more likely wrong than it is away."""
TOLD_AFTER_S = 10.0

WATCH_S = 300
"""Seconds after which the server ends a watch, to be opened again."""

_SILENCE_S = 90.0  # of a watch: servers send a bookmark about every minute
PAUSES = wait_random_exponential(multiplier=0.5, max=5.0)
"""Pauses between tries, of growing length and by chance, so that many runs do not ask at the same moments."""

_MOMENTARY = frozenset({408, 429, 500, 502, 503, 504})
_UNTOLD = ("FailedScheduling", "BackOff", "Unhealthy", "MissingClusterDNS")
_UNAUTHORIZED = 401
_CONFLICT = 409
_GONE = 410
_VERSION = re.compile(r"(\d+)\.(\d+)")  # some providers' minor version is as "29+"
_KILL_GRACE_S = 1

_logger = logging.getLogger(__name__)

Query: TypeAlias = Mapping[str, str | int | bool]


class RefusedError(BackendError):
    """The API server refused a request; ``status`` is its HTTP status, ``reason`` Kubernetes' own word for it."""

    def __init__(
        self, message: str, *, hint: str | None = None, passing: bool = False, status: int = 0, reason: str = ""
    ) -> None:
        super().__init__(message, hint=hint, passing=passing)
        self.status = status
        self.reason = reason


class HistoryLostError(Exception):
    """A watch cannot go on from where it was (410 Gone): list again."""


async def connect(cluster: ClusterConfig | None = None) -> "KubernetesApi":
    """Find a cluster: the one that is named, the one that this process runs in, or that of the kubeconfig.

    No file with a key or certificate of a kubeconfig is left behind, whatever becomes of this process.

    Raises:
        BackendError: Kubernetes support is not installed, or no cluster is configured, or its kubeconfig is malformed.
    """
    try:
        import yaml
        from kubernetes_asyncio import config
        from kubernetes_asyncio.client import ApiClient
    except ImportError as exc:
        raise BackendError(
            f"Kubernetes support is not installed: {exc}", hint="pip install 'cwl-prefect[kubernetes]'"
        ) from exc
    try:
        if cluster is None:
            with suppress(config.ConfigException):
                config.load_incluster_config()  # type: ignore[no-untyped-call]
                return KubernetesApi(ApiClient())
        credentials = Credentials(cluster)
        return KubernetesApi(await credentials.client(), credentials=credentials)
    except (config.ConfigException, OSError) as exc:
        raise BackendError(
            f"no Kubernetes cluster is configured: {exc}", hint="set KUBECONFIG and try `kubectl get pods`"
        ) from exc
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError) as exc:
        raise _malformed(exc, config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION if cluster is None else None) from exc
    finally:
        remove_files()


def version_of(answer: KubernetesObject) -> tuple[int, int]:
    """Return the version that a server tells of itself, as ``(1, 29)``; ``(0, 0)`` where it does not."""
    told = _VERSION.match(f"{answer.get('major')}.{answer.get('minor')}")
    return (int(told[1]), int(told[2])) if told else (0, 0)


def _malformed(error: Exception, path: str | None) -> BackendError:
    """Return the error for a kubeconfig that is a file at a path, or a block of Prefect, and is none."""
    where = "of the work pool's cluster block" if path is None else path
    return BackendError(
        f"the kubeconfig {where} is malformed: {' '.join(str(error).split())}",
        hint="mend it, or set KUBECONFIG to another one; `kubectl config view` reads it too",
    )


class KubernetesApi:
    """The few calls that running Jobs takes.

    A server that is busy (429, 5xx) or away is asked again with growing pauses, as long as the patience lasts.

    Args:
        client: A configured client; closed by :meth:`close`.
        patience_s: Seconds after which a server that does not answer is given up.
        credentials: Renew what the server no longer takes; None where the client does so by itself, or nobody can.
    """

    def __init__(
        self, client: "ApiClient", *, patience_s: float = PATIENCE_S, credentials: Credentials | None = None
    ) -> None:
        self._client = client
        self._credentials = credentials
        self._patience_s = patience_s
        self._asked_at: float | None = None  # the first time
        self._answered = False
        self._told = False

    async def close(self) -> None:
        """Close connections."""
        await self._client.close()

    async def version(self) -> tuple[int, int]:
        """Return the server's version of Kubernetes, as ``(1, 29)``; ``(0, 0)`` where it does not tell."""
        try:
            return version_of(await self.request("GET", "/version"))
        except RefusedError:
            return 0, 0

    async def create_job(self, namespace: str, manifest: Mapping[str, JsonValue]) -> KubernetesObject:
        """Create a Job."""
        return await self.request("POST", f"/apis/batch/v1/namespaces/{namespace}/jobs", body=dict(manifest))

    async def job(self, namespace: str, name: str) -> KubernetesObject | None:
        """Return a Job, or None where there is none."""
        return await self._found("GET", f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}")

    async def jobs(self, namespace: str | None, selector: str) -> list[KubernetesObject]:
        """Return the Jobs that have certain labels, in one namespace or in all."""
        place = "" if namespace is None else f"/namespaces/{namespace}"
        found = await self.request("GET", f"/apis/batch/v1{place}/jobs", query={"labelSelector": selector})
        return parts(found, "items")

    async def nudge_job(self, namespace: str, name: str, annotations: Mapping[str, str]) -> None:
        """Write annotations to a Job, upon which its controller looks at it at once."""
        body: KubernetesObject = {"metadata": {"annotations": dict(annotations)}}
        await self._found("PATCH", f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}", body=body)

    async def give_job(self, namespace: str, name: str, owners: Sequence[KubernetesObject]) -> bool:
        """Let a Job go away with these owners, and with no others; tell whether it is there."""
        body: KubernetesObject = {"metadata": {"ownerReferences": [*owners]}}
        return await self._found("PATCH", f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}", body=body) is not None

    async def end_job(self, namespace: str, name: str, *, after_s: int) -> None:
        """Let a Job fail so many seconds after its start, and its pods be deleted then."""
        body: KubernetesObject = {"spec": {"activeDeadlineSeconds": after_s}}
        await self._found("PATCH", f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}", body=body)

    async def make_no_more_pods(self, namespace: str, name: str) -> None:
        """Let a Job have no pod besides those that end already; one that was made in their place is deleted."""
        body: KubernetesObject = {"spec": {"parallelism": 0}}
        await self._found("PATCH", f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}", body=body)

    async def delete_job(self, namespace: str, name: str) -> bool:
        """Delete a Job and let its pods be collected; tell whether there was one."""
        body: KubernetesObject = {"propagationPolicy": "Background"}
        return await self._found("DELETE", f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}", body=body) is not None

    async def delete_pod(self, namespace: str, name: str, *, at_once: bool = False) -> None:
        """Kill a pod; at once means without waiting until its node says that it is dead."""
        body: KubernetesObject = {"gracePeriodSeconds": 0 if at_once else _KILL_GRACE_S}
        await self._found("DELETE", f"/api/v1/namespaces/{namespace}/pods/{name}", body=body)

    async def pod(self, namespace: str, name: str) -> KubernetesObject | None:
        """Return a pod, or None where there is none."""
        return await self._found("GET", f"/api/v1/namespaces/{namespace}/pods/{name}")

    async def secret(self, namespace: str, name: str) -> KubernetesObject | None:
        """Return a secret, or None where there is none or it may not be read."""
        try:
            return await self._found("GET", f"/api/v1/namespaces/{namespace}/secrets/{name}")
        except RefusedError:
            return None

    async def put_secret(self, namespace: str, manifest: Mapping[str, JsonValue]) -> None:
        """Create a secret, in place of one of its name that may be there."""
        place = f"/api/v1/namespaces/{namespace}/secrets"
        try:
            await self.request("POST", place, body=dict(manifest))
        except RefusedError as error:
            if error.status != _CONFLICT:
                raise
            await self.request("PUT", f"{place}/{text(manifest, 'metadata', 'name')}", body=dict(manifest))

    async def delete_secret(self, namespace: str, name: str) -> None:
        """Delete a secret, if there is one."""
        await self._found("DELETE", f"/api/v1/namespaces/{namespace}/secrets/{name}")

    async def pods(self, namespace: str, selector: str) -> tuple[list[KubernetesObject], str]:
        """Return the pods that have certain labels, and the version of the list, from which a watch may go on."""
        found = await self.request("GET", f"/api/v1/namespaces/{namespace}/pods", query={"labelSelector": selector})
        return parts(found, "items"), text(found, "metadata", "resourceVersion")

    async def events(self, namespace: str, uid: str) -> list[KubernetesObject]:
        """Return the events about one object, the oldest first; none where they may not be read."""
        return await self._events(namespace, f"involvedObject.uid={uid}")

    async def warnings(self, namespace: str) -> list[KubernetesObject]:
        """Return the warnings that keep pods from their beginning, the oldest first; none where they may not be read.

        Left out are those that the state of a pod tells too, and those that nodes give with each pod.
        """
        return await self._events(namespace, ",".join(("type=Warning", *(f"reason!={one}" for one in _UNTOLD))))

    async def _events(self, namespace: str, chosen: str) -> list[KubernetesObject]:
        query: Query = {"fieldSelector": chosen}
        try:
            found = await self.request("GET", f"/api/v1/namespaces/{namespace}/events", query=query)
        except BackendError:
            return []
        return sorted(parts(found, "items"), key=lambda event: text(event, "lastTimestamp"))

    async def watch_pods(self, namespace: str, selector: str, version: str) -> AsyncIterator[KubernetesObject]:
        """Yield each change of pods that have certain labels, until the server ends the watch.

        Raises:
            HistoryLostError: The server no longer knows that version.
            BackendError: The server refuses or goes away.
        """
        query: Query = {
            "labelSelector": selector,
            "resourceVersion": version,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": WATCH_S,
        }
        async with self._answer(
            "GET", f"/api/v1/namespaces/{namespace}/pods", query, None, silence_s=_SILENCE_S
        ) as answer:
            if answer.status == _GONE:
                raise HistoryLostError
            _demand_success(answer.status, "" if answer.status < 300 else await answer.text(), "watch pods")
            async for line in _lines(answer):
                change = _understood(line)
                if change.get("type") == "ERROR":
                    raise HistoryLostError(text(change, "object", "message"))
                yield change

    async def request(
        self, method: str, path: str, *, query: Query | None = None, body: KubernetesObject | None = None
    ) -> KubernetesObject:
        """Make a request, as often as it takes.

        Raises:
            RefusedError: The server refuses it.
            BackendError: It did not answer for as long as the patience lasts.
        """
        asked_at = time.monotonic()
        self._asked_at = self._asked_at or asked_at
        again = retry_if_exception(lambda error: self._asks_again(error, asked_at))
        return await AsyncRetrying(wait=PAUSES, retry=again, reraise=True)(self._once, method, path, query or {}, body)

    def _asks_again(self, error: BaseException, asked_at: float) -> bool:
        """Check whether patience lasts; after a while a warning says that a server does not answer."""
        if isinstance(error, RefusedError):
            return error.status in _MOMENTARY and time.monotonic() - asked_at <= self._patience_s
        if not isinstance(error, BackendError):
            return False
        patience_s = self._patience_s if self._answered else min(self._patience_s, FIRST_PATIENCE_S)
        waited_s = time.monotonic() - (asked_at if self._answered else self._asked_at or asked_at)
        if TOLD_AFTER_S < waited_s <= patience_s and not self._told:
            self._told = True
            _logger.warning("%s; asking it again for up to %g s", error.message, patience_s)
        return waited_s <= patience_s

    async def _found(self, method: str, path: str, *, body: KubernetesObject | None = None) -> KubernetesObject | None:
        try:
            return await self.request(method, path, body=body)
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    async def _once(self, method: str, path: str, query: Query, body: KubernetesObject | None) -> KubernetesObject:
        async with self._answer(method, path, query, body) as answer:
            content = await answer.text()
            _demand_success(answer.status, content, f"{method} {path}")
            return _understood(content)

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        query: Query,
        body: KubernetesObject | None,
        *,
        silence_s: float = 0,
    ) -> "AsyncIterator[ClientResponse]":
        from aiohttp import ClientError, ClientTimeout

        watch = ClientTimeout(sock_connect=REQUEST_TIMEOUT_S, sock_read=silence_s)
        headers = {"Accept": "application/json"}
        headers["Content-Type"] = "application/merge-patch+json" if method == "PATCH" else "application/json"
        try:
            answer = await self._authenticated(
                partial(
                    self._client.call_api,
                    path,
                    method,
                    query_params=list(query.items()),
                    header_params=headers,
                    body=body,
                    auth_settings=["BearerToken"],
                    _preload_content=False,
                    _request_timeout=watch if silence_s else REQUEST_TIMEOUT_S,
                )
            )
            self._answered, self._told = True, False
            async with answer:
                yield answer
        except (ClientError, TimeoutError, OSError) as exc:
            raise BackendError(
                f"the Kubernetes API server does not answer: {exc or type(exc).__name__}",
                hint="try `kubectl get pods`",
                passing=self._answered,
            ) from exc

    async def _authenticated(self, ask: Callable[[], Awaitable["ClientResponse"]]) -> "ClientResponse":
        """Ask, and once more with other credentials where the server no longer takes those that there are."""
        token = None if self._credentials is None else self._credentials.token
        answer = await ask()
        if self._credentials is None or answer.status != _UNAUTHORIZED:
            return answer
        try:
            renewed = await self._credentials.renew(token)
        except BaseException:
            answer.close()
            raise
        if not renewed:
            return answer
        answer.close()
        return await ask()


async def _lines(answer: "ClientResponse") -> AsyncIterator[bytes]:
    """Yield each whole line of an answer, however long: a pod with a long command is one line."""
    rest = bytearray()
    async for piece in answer.content.iter_any():
        *lines, last = piece.split(b"\n")
        for line in lines:
            yield bytes(rest + line)
            rest.clear()
        rest += last


def _understood(content: bytes | str) -> KubernetesObject:
    try:
        return read(content)
    except ValueError as exc:
        raise BackendError(
            "the Kubernetes API server answers what cannot be understood", hint="try `kubectl get pods`", passing=True
        ) from exc


_HINTS = {
    401: "the credentials are not valid: log in again, and try `kubectl get pods`",
    403: "give the service account or user the role in deployments/kubernetes/access.yaml",
    413: "the call has too many inputs or too long a command; pass them in a file",
}


def _demand_success(status: int, content: str, what: str) -> None:
    if status < 300:
        return
    try:
        said = read(content)
    except ValueError:
        said = {"message": content[:500]}
    message = text(said, "message") or f"HTTP status {status}"
    raise RefusedError(
        f"Kubernetes refuses to {what}: {message}", status=status, reason=text(said, "reason"), hint=_HINTS.get(status)
    )
