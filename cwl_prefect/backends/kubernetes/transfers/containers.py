"""The containers that go with a call's own where its pod shares no volume: one before it, and one beside it."""

import ast
import base64
import hashlib
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import JsonValue

from cwl_prefect.backends.kubernetes.launcher import ALIVE, PROGRAM
from cwl_prefect.backends.kubernetes.objects import KubernetesObject
from cwl_prefect.backends.kubernetes.storage import OWN_DIRECTORY, VOLUME_NAME, VOLUME_PATH
from cwl_prefect.storage.credentials import lent

FETCH_NAME, STORE_NAME = "cwl-prefect-fetch", "cwl-prefect-store"
"""Names of the containers."""

_HERE = Path(__file__).parent
_MODULES = ("trees", "bucket", "program")
_CACHED = (
    "import os, sys; sys.pycache_prefix = None if os.path.isdir(sys.path[1] + '/__pycache__') else sys.argv[5] + '.pyc'"
)
"""Where an image has no compiled library, the container before compiles what it imports for the one after, too."""

_AGAIN = f"{_CACHED}; exec(open(f'{{sys.argv[5]}}.py').read())"
"""Runs what the container before has left beside the pipe: a text of this length is not to be told twice."""

_OPEN_VARIABLES = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION")


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferContainers:
    """What brings the files of calls into pods and out of them.

    Attributes:
        url: Prefix of the object store.
        image: Image with Python.
        secret: Secret of the namespace whose variables are the credentials; None: the template gives them.
        launcher: Image that the program in the store is of which connects the streams of tools.
    """

    url: str
    image: str
    secret: str | None
    launcher: str

    @property
    def kept(self) -> str:
        """Prefix of the objects that are the launcher's program, each for a kind of node."""
        return f"programs/{hashlib.sha256(self.launcher.encode()).hexdigest()[:12]}"

    def fetching(self, call: str) -> KubernetesObject:
        """Return the init container that fetches the inputs of a call."""
        return self._container(FETCH_NAME, ["-c", program_text(), "fetch"], call)

    def storing(self, call: str) -> KubernetesObject:
        """Return the container that uploads what a call left, once its tool has ended, by the same program."""
        return self._container(STORE_NAME, ["-c", _AGAIN, "store"], call)

    def _container(self, name: str, program: list[str], call: str) -> KubernetesObject:
        own = f"{VOLUME_PATH}/{OWN_DIRECTORY}"
        paths = [VOLUME_PATH, f"{own}/{ALIVE}", f"{own}/{PROGRAM}"]
        words = ["python3", "-I", "-S", *program, self.url, call, *paths, self.kept]
        secrets: list[JsonValue] = [] if self.secret is None else [{"secretRef": {"name": self.secret}}]
        return {
            "name": name,
            "image": self.image,
            "imagePullPolicy": "IfNotPresent",
            "command": [*words],
            "env": [{"name": variable, "value": value} for variable, value in _open_variables(os.environ)],
            "envFrom": secrets,
            "volumeMounts": [{"name": VOLUME_NAME, "mountPath": VOLUME_PATH}],
        }


def _open_variables(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what the environment of this process, or a storage block, says of the store that is no secret."""
    credentials = lent()
    known = {**environment, **({} if credentials is None else credentials.store_variables)}
    return ((name, known[name]) for name in _OPEN_VARIABLES if known.get(name))


@cache
def program_text() -> str:
    """Return the program of the containers as one line of Python, packed: each change of a pod that is told carries it.

    The modules are made one after the other under their own names, where each finds those before it. What is only for
    people is left out.
    """
    lines = ["import sys, types"]
    for module in _MODULES:
        name = "__main__" if module == _MODULES[-1] else f"{__package__}.{module}"
        source = _shortened((_HERE / f"{module}.py").read_text("utf-8"))
        lines.append(f"made = sys.modules.setdefault({name!r}, types.ModuleType({name!r}))")
        lines.append(f"exec(compile({source!r}, {module!r}, 'exec'), made.__dict__)")
    packed = base64.b64encode(zlib.compress("\n".join(lines).encode(), 9)).decode()
    return f"{_CACHED}; import base64, zlib; text = zlib.decompress(base64.b64decode('{packed}')); exec(text)"


def _shortened(source: str) -> str:
    """Return a module without comments and docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [each for each in body if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))]
            body[:] = kept or [ast.Pass()]
    return ast.unparse(tree)
