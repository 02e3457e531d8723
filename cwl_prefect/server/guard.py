"""Who may speak to the local server: pages of its own address, and programs, which name no page.

The secret keeps other users of the machine out, but not a page of another site in its user's browser, which could reach
this machine under its own name (DNS rebinding) or ask in the user's.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import urlsplit

Scope: TypeAlias = MutableMapping[str, object]
Message: TypeAlias = MutableMapping[str, object]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN: Final = "/open"
"""Before the path of a page: logs the browser in by what follows ``#``, which no browser sends, and shows the page."""

USER: Final = "cwl-prefect"
"""Stands before the secret where one is asked for, as the user of HTTP's basic authentication."""

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_LOG_IN = f"""<!doctype html>
<meta charset="utf-8">
<title>Prefect</title>
<script>
  localStorage.setItem("prefect-password", btoa("{USER}:" + location.hash.slice(1)));
  location.replace("/" + location.pathname.slice({len(OPEN)}).replace(/^[/\\\\]+/, "") + location.search);
</script>
"""
"""Prefect's pages keep there what a person types in when they ask for the secret."""


@dataclass(frozen=True, slots=True)
class Guard:
    """An application that refuses what comes from other origins, and opens pages logged in."""

    application: Application
    origins: frozenset[str] = frozenset()  # admitted besides its own, or "*"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one connection on, or refuse it."""
        kind, path = scope["type"], str(scope.get("path"))
        if kind in ("http", "websocket") and not self._admits(scope):
            await _refuse(kind, send)
        elif kind == "http" and path.startswith(f"{OPEN}/"):
            await _answer(send, 200, "text/html", _LOG_IN)
        else:
            await self.application(scope, receive, send)

    def _admits(self, scope: Scope) -> bool:
        host, origin = header(scope, b"host"), header(scope, b"origin")
        if _hostname(f"//{host}") not in _LOOPBACK:
            return False
        return not origin or urlsplit(origin).netloc == host or bool(self.origins & {origin, "*"})


def header(scope: Scope, name: bytes) -> str:
    """Return a header of a connection; empty where there is none."""
    headers = scope.get("headers")
    if not isinstance(headers, list):
        return ""
    return next((value.decode("latin-1") for key, value in headers if key == name), "")


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


async def _refuse(kind: object, send: Send) -> None:
    if kind == "websocket":
        await send({"type": "websocket.close", "code": 1008})
    else:
        await _answer(send, 403, "text/plain", "Only pages of this server may ask it.\n")


async def _answer(send: Send, status: int, kind: str, text: str) -> None:
    headers = [
        (b"content-type", f"{kind}; charset=utf-8".encode()),
        (b"content-length", str(len(text.encode())).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
