"""A Docker engine for tests: its HTTP API on a socket, with functions in the place of containers."""

import contextlib
import json
import os
import re
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Json = dict[str, Any]


@dataclass
class StubContainer:
    id: str
    name: str
    config: Json
    exit_code: int | None = None
    state: Json = field(default_factory=dict)
    connection: socket.socket | None = None
    started: threading.Event = field(default_factory=threading.Event)
    killed: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    started_at: str = "0001-01-01T00:00:00Z"
    log: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def command(self) -> tuple[str, ...]:
        return tuple(self.config["Cmd"] or ())

    @property
    def mounts(self) -> dict[str, Path]:
        return {mount["Target"]: Path(mount["Source"]) for mount in self.config["HostConfig"].get("Mounts") or ()}

    def write(self, data: bytes, stream: int = 1) -> None:
        assert self.connection is not None
        for begin in range(0, len(data), 32768):
            part = data[begin : begin + 32768]
            self.log.append((stream, part))
            with contextlib.suppress(OSError):  # its driver may be gone
                self.connection.sendall(struct.pack(">BxxxL", stream, len(part)) + part)

    def read(self) -> bytes:
        if not self.config["OpenStdin"]:
            return b""
        assert self.connection is not None
        data = b""
        while part := self.connection.recv(1 << 16):
            data += part
        return data


@dataclass
class StubEngine:
    """What the engine knows, and how it answers; `refusals` maps ``METHOD path`` patterns to status and message."""

    play: Callable[[StubContainer], int]
    images: set[str] = field(default_factory=set)
    moved: dict[str, str] = field(default_factory=dict)  # by name: another id than the name gives
    registry: set[str] = field(default_factory=set)
    containers: dict[str, StubContainer] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    bodies: list[Json] = field(default_factory=list)
    inspections: dict[str, list[Json]] = field(default_factory=dict)  # by identifier: mounts of other containers
    headers: list[dict[str, str]] = field(default_factory=list)
    refusals: list[tuple[str, int, str, int]] = field(default_factory=list)  # pattern, status, message, times
    holds: dict[str, threading.Event] = field(default_factory=dict)  # pattern: answer no earlier than this is set
    security_options: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)  # of every container, after its end
    log_drivers: list[str] = field(default_factory=lambda: ["json-file", "local"])
    count: int = 0

    def refuse(self, pattern: str, status: int, message: str, times: int = 1_000_000) -> None:
        self.refusals.append((pattern, status, message, times))

    def hold(self, pattern: str) -> threading.Event:
        return self.holds.setdefault(pattern, threading.Event())

    def find(self, key: str) -> StubContainer | None:
        return next((one for one in list(self.containers.values()) if key in (one.id, one.name)), None)

    def image_id(self, key: str) -> str:
        ids = {name: self.moved.get(name, f"sha256:{name}") for name in self.images}
        left = {f"sha256:{name}" for name in self.images}  # without any tag, where it moved
        if key not in ids and key not in left | set(ids.values()):
            raise RefusedError(404, f"No such image: {key}")
        return ids.get(key, key)

    def asked(self, pattern: str) -> int:
        return sum(1 for request in self.requests if re.search(pattern, request))

    def run(self, container: StubContainer) -> None:
        container.exit_code = self.play(container)
        container.ended.set()


class RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "StubServer"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_GET  # noqa: N815
    do_DELETE = do_GET  # noqa: N815

    @property
    def engine(self) -> StubEngine:
        return self.server.engine

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self) -> None:
        url = urlsplit(self.path)
        path = re.sub(r"^/v[\d.]+", "", unquote(url.path))
        self.query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.data = self._body()
        request = f"{self.command} {path}"
        self.engine.requests.append(request)
        for pattern, release in self.engine.holds.items():
            if re.search(pattern, request):
                release.wait(10)
        try:
            self._refuse(request)
            self._route(request)
        except RefusedError as exc:
            self._send({"message": str(exc)}, status=exc.status)

    def _route(self, request: str) -> None:
        for pattern, method in ROUTES:
            if match := re.fullmatch(pattern, request):
                method(self, *match.groups())
                return
        raise RefusedError(501, f"the stub has no {request}")

    def _refuse(self, request: str) -> None:
        for number, (pattern, status, message, times) in enumerate(self.engine.refusals):
            if times > 0 and re.search(pattern, request):
                self.engine.refusals[number] = (pattern, status, message, times - 1)
                raise RefusedError(status, message)

    def _send(self, answer: Json | list[Json], *, status: int = 200) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _send_nothing(self) -> None:
        self.send_response(204)
        self.end_headers()

    def _stream(self, *answers: Json) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for answer in answers:
            line = json.dumps(answer).encode() + b"\r\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.write(b"0\r\n\r\n")

    def _container(self, key: str) -> StubContainer:
        container = self.engine.find(key)
        if container is None:
            raise RefusedError(404, f"No such container: {key}")
        return container

    def version(self) -> None:
        self._send({"ApiVersion": "1.41", "Version": "20.10"})

    def info(self) -> None:
        self._send({"SecurityOptions": self.engine.security_options, "Plugins": {"Log": self.engine.log_drivers}})

    def inspect_image(self, name: str) -> None:
        self._send({"Id": self.engine.image_id(name), "RepoTags": [name]})

    def create_image(self) -> None:
        self.engine.headers.append(dict(self.headers))
        if "fromSrc" in self.query:
            self.engine.images.add(f"{self.query['repo']}:{self.query.get('tag', 'latest')}")
            self._send({"status": "sha256:abc"})
            return
        image, tag = self.query["fromImage"], self.query["tag"]
        name = f"{image}{'@' if ':' in tag else ':'}{tag}"
        if name not in self.engine.registry:
            self._stream({"status": "Pulling"}, {"error": f"manifest for {name} not found: manifest unknown"})
            return
        self.engine.images.add(name)
        self._stream({"status": "Pulling"}, {"status": "Downloaded"})

    def load_images(self) -> None:
        name = self.data.decode()
        if not name:
            self._stream({"stream": "nothing\n"})
            return
        self.engine.images.add(name)
        self._stream({"stream": f"Loaded image: {name}\n"})

    def build(self) -> None:
        if b"RUN false" in self.data:
            self._stream({"stream": "Step 1"}, {"error": "The command '/bin/sh -c false' returned a non-zero code: 1"})
            return
        self.engine.images.add(self.query["t"])
        self._stream({"stream": "Successfully built"})

    def create(self) -> None:
        config: Json = json.loads(self.data)
        name = self.query["name"]
        config["Image"] = self.engine.image_id(config["Image"])
        if self.engine.find(name):
            raise RefusedError(409, f'Conflict. The container name "/{name}" is already in use')
        self.engine.count += 1
        container = StubContainer(id=f"{self.engine.count:064x}", name=name, config=config)
        self.engine.containers[container.id] = container
        self.engine.bodies.append(config)
        self._send({"Id": container.id, "Warnings": []}, status=201)

    def inspect(self, key: str) -> None:
        if key in self.engine.inspections:
            self._send({"Id": key, "Mounts": self.engine.inspections[key]})
            return
        container = self._container(key)
        status = "created" if not container.started.is_set() else "exited" if container.ended.is_set() else "running"
        state = {
            "Status": status,
            "StartedAt": container.started_at,
            "ExitCode": container.exit_code or 0,
            "OOMKilled": False,
            "Error": "",
            **container.state,
        }
        described = {"Id": container.id, "Name": container.name, "Config": container.config, "State": state}
        self._send({**described, "HostConfig": container.config["HostConfig"], "Image": container.config["Image"]})

    def tell_events(self) -> None:
        container = self._container(json.loads(self.query["filters"])["container"][0])
        container.ended.wait()
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for action in self.engine.events:
            line = json.dumps({"Action": action}).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        while container.id in self.engine.containers:
            time.sleep(0.02)
        self.close_connection = True

    def attach(self, key: str) -> None:
        container = self._container(key)
        container.connection = self.connection
        self.wfile.write(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        self.close_connection = True
        while not container.ended.wait(0.02):
            if key not in self.engine.containers:
                return

    def logs(self, key: str) -> None:
        container = self._container(key)
        wanted = [stream for stream, name in ((1, "stdout"), (2, "stderr")) if self.query[name] in ("1", "True")]
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        sent = 0
        while True:
            ended = container.ended.is_set() or self.query["follow"] not in ("1", "True")
            for stream, part in container.log[sent:]:
                sent += 1
                if stream in wanted:
                    frame = struct.pack(">BxxxL", stream, len(part)) + part
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(frame), frame))
            if ended:
                break
            container.ended.wait(0.02)
        self.wfile.write(b"0\r\n\r\n")

    def start(self, key: str) -> None:
        container = self._container(key)
        container.started_at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}123Z"
        threading.Thread(target=self.engine.run, args=(container,), daemon=True).start()
        container.started.set()
        self._send_nothing()

    def wait(self, key: str) -> None:
        container = self._container(key)
        container.ended.wait()
        self._send({"StatusCode": container.exit_code})

    def kill(self, key: str) -> None:
        container = self._container(key)
        if container.ended.is_set():
            raise RefusedError(409, "is not running")
        container.killed.set()
        self._send_nothing()

    def remove(self, key: str) -> None:
        container = self._container(key)
        container.killed.set()
        if container.started.is_set():
            container.ended.wait(10)
        self.engine.containers.pop(container.id, None)
        self._send_nothing()

    def list(self) -> None:
        wanted = [item.partition("=") for item in json.loads(self.query["filters"])["label"]]
        found = [
            {"Id": one.id, "Labels": one.config["Labels"]}
            for one in self.engine.containers.values()
            if all(one.config["Labels"].get(name) == value or not equals for name, equals, value in wanted)
            and all(name in one.config["Labels"] for name, _, _ in wanted)
        ]
        self._send(found)

    def network(self, name: str) -> None:
        self._send({"Id": name, "Name": name})

    def connect_network(self, name: str) -> None:
        self._send({})


ROUTES: list[tuple[str, Callable[..., None]]] = [
    (r"GET /version", Handler.version),
    (r"GET /info", Handler.info),
    (r"GET /images/(.+)/json", Handler.inspect_image),
    (r"POST /images/create", Handler.create_image),
    (r"POST /images/load", Handler.load_images),
    (r"POST /build", Handler.build),
    (r"POST /containers/create", Handler.create),
    (r"GET /events", Handler.tell_events),
    (r"GET /containers/json", Handler.list),
    (r"GET /containers/([^/]+)/json", Handler.inspect),
    (r"GET /containers/([^/]+)/logs", Handler.logs),
    (r"POST /containers/([^/]+)/attach", Handler.attach),
    (r"POST /containers/([^/]+)/start", Handler.start),
    (r"POST /containers/([^/]+)/wait", Handler.wait),
    (r"POST /containers/([^/]+)/kill", Handler.kill),
    (r"DELETE /containers/([^/]+)", Handler.remove),
    (r"GET /networks/([^/]+)", Handler.network),
    (r"POST /networks/([^/]+)/connect", Handler.connect_network),
]


class StubServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, path: Path, engine: StubEngine) -> None:
        self.engine = engine
        super().__init__(os.fspath(path), Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients may go away in the middle of an answer."""
