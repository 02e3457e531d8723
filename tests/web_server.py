"""A web server on loopback with ETags and ranges, which cuts connections and refuses when it is told to."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class WebServer:
    """What the server serves, and what it was asked.

    Attributes:
        address: Its own.
        files: Contents by path.
        asked: Method, path and range of each request.
        cuts: Bytes after which the next answers end, the connection with them.
        refusals: Statuses of the next answers to GET.
        refused: Statuses by path, always.
        redirections: Where else to look, by path.
        etags: Whether answers have an ETag.
        ranges: Whether a part is sent where one is asked for.
        held: Cleared while answers to GET wait.
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    redirections: dict[str, str] = field(default_factory=dict)
    etags: bool = True
    ranges: bool = True
    held: threading.Event = field(default_factory=threading.Event)

    def put(self, path: str, content: bytes) -> str:
        """Serve some content, and return its URL."""
        self.files[path] = content
        return f"{self.address}/{path}"

    def reads(self, path: str) -> list[str | None]:
        """Return the ranges of all requests that asked for the content of a path."""
        return [asked for method, name, asked in self.asked if method == "GET" and name == path]


@contextmanager
def running_web_server(address: str = "127.0.0.1") -> Iterator[WebServer]:
    """Run a server in threads of this process, at one of the addresses of this machine."""
    web = WebServer()
    web.held.set()
    server = ThreadingHTTPServer((address, 0), type("Handler", (_Handler,), {"web": web}))
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    serving.start()
    web.address = f"http://{address}:{server.server_port}"
    try:
        yield web
    finally:
        web.held.set()
        server.shutdown()
        serving.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    web: WebServer

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(content_too=False)

    def do_GET(self) -> None:
        self._answer(content_too=True)

    def _answer(self, *, content_too: bool) -> None:
        path = self.path.partition("?")[0].removeprefix("/")
        self.web.asked.append((self.command, path, self.headers.get("Range")))
        if path in self.web.redirections:
            self._send(302, b"", {"Location": self.web.redirections[path]})
            return
        content = self.web.files.get(path)
        status = self.web.refused.get(path) or (404 if content is None else 200)
        if content_too and status == 200 and self.web.refusals:
            status = self.web.refusals.pop(0)
        if status != 200 or content is None:
            self._send(status, b"<html>sorry</html>" if content_too else b"", {})
            return
        headers = {"ETag": f'"{sha1(content).hexdigest()}"'} if self.web.etags else {}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if wanted and self.web.ranges and self.headers.get("If-Range") in (None, headers.get("ETag")):
            begin, end = int(wanted[1]), min(int(wanted[2] or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {begin}-{end}/{len(content)}"
            self._send(206, content[begin : end + 1], headers, content_too=content_too)
            return
        self._send(200, content, headers, content_too=content_too)

    def _send(self, status: int, body: bytes, headers: dict[str, str], *, content_too: bool = True) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if not content_too:
            return
        self.web.held.wait()
        cut = self.web.cuts.pop(0) if self.web.cuts and status in (200, 206) else None
        self.wfile.write(body[:cut])
        if cut is not None:
            self.close_connection = True
