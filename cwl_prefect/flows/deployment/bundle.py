"""Files that lie with a document, such as a default's, travel inside its deployment: workers have no copy of them."""

import base64
import gzip
import json
import os
import posixpath
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, TypeAlias

from pydantic import TypeAdapter

from cwl_prefect._lib.uris import file_uri, path_of
from cwl_prefect.model.plan import WorkflowPlan, encode_plan
from cwl_prefect.model.values import file_objects

MOST_BYTES = 1 << 20
"""How much a deployment carries; Prefect reads all of it whenever it shows the deployment."""

_DIRECTORY = "files"
_LOCATIONS = "locations.json"
_GZIP = b"\x1f\x8b"


class Member(NamedTuple):
    """A file of what travels, or a directory, which has no content."""

    content: bytes | None = None
    executable: bool = False


Tree: TypeAlias = Mapping[str, Member]
"""A File or Directory: what is in it by paths below it; its own path is empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Files and Directories that a plan names and that lie with its document.

    Attributes:
        archive: A tar archive of them, with their locations in a member of its own.
        locations: Locations of those that travel, in their order in the archive.
        left: Locations of those that do not travel: they lie elsewhere, are not there or are too large.
    """

    archive: bytes = b""
    locations: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    @classmethod
    def read(cls, plan: WorkflowPlan) -> "Bundle":
        """Read what a plan names below the directory of its document.

        Nothing else is read, nor what is hidden there: a document must not bring to a server what its user did not mean
        to show, such as keys in a home directory.
        """
        root, room = _root(plan), MOST_BYTES
        trees: dict[str, Tree] = {}
        left: list[str] = []
        for location, path in _named(plan).items():
            tree = _tree(path, room) if root is not None and _is_shown(path.resolve(), root) else None
            if tree is None:
                left.append(location)
                continue
            trees[location] = tree
            room -= sum(len(member.content or b"") for member in tree.values())
        return cls(archive=_archived(trees), locations=tuple(trees), left=tuple(left))

    def packed(self) -> str | None:
        """Return it as a text that no templating can change; None where there is nothing to carry."""
        return base64.b64encode(gzip.compress(self.archive, mtime=0)).decode("ascii") if self.locations else None

    @classmethod
    def unpacked(cls, text: str | None) -> "Bundle":
        """Read what :meth:`packed` wrote, now or before it wrote archives.

        Raises:
            ValueError: It did not write this.
        """
        if text is None:
            return cls()
        packed = base64.b64decode(text, validate=True)
        try:
            archive = gzip.decompress(packed) if packed.startswith(_GZIP) else _archived(_former_trees(packed))
            with tarfile.open(fileobj=BytesIO(archive)) as opened:
                listed = opened.extractfile(_LOCATIONS)
                locations = _NAMES.validate_json(b"" if listed is None else listed.read())
        except (OSError, EOFError, KeyError, zlib.error, tarfile.TarError) as error:
            raise ValueError(str(error)) from error
        if not all(map(_name, locations)):
            raise ValueError("a location has no name")
        return cls(archive=archive, locations=locations)

    def lay(self, directory: Path) -> None:
        """Write everything below a directory, once.

        Raises:
            OSError: It cannot be written.
            TarError: Something would lie elsewhere, or is neither a file nor a directory.
        """
        if not self.locations or (directory / _DIRECTORY).exists():
            return
        with tempfile.TemporaryDirectory(dir=directory, prefix=".", suffix=".part") as part:
            with tarfile.open(fileobj=BytesIO(self.archive)) as archive:
                if hasattr(tarfile, "data_filter"):
                    archive.extractall(part, filter="data")
                else:  # Python 3.11.0 to 3.11.3
                    archive.extractall(part, _plain(archive))  # noqa: S202 - each member is checked
            try:
                Path(part, _DIRECTORY).rename(directory / _DIRECTORY)
            except OSError:
                if not (directory / _DIRECTORY).exists():  # another process was first
                    raise

    def places(self, directory: Path) -> dict[str, str]:
        """Return where each location's content lies now: where it did if that is the same still, else as laid."""
        laid = zip(self.locations, _places(self.locations), strict=True)
        return {
            location: file_uri(directory / place)
            for location, place in laid
            if (path := path_of(location)) is None or _tree(path, MOST_BYTES) != _tree(directory / place, MOST_BYTES)
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _FormerContent:
    directories: tuple[str, ...] = ()
    files: Mapping[str, tuple[str, bool]] = field(default_factory=dict)


_NAMES = TypeAdapter(tuple[str, ...])
_FORMER = TypeAdapter(dict[str, _FormerContent])


def _archived(trees: Mapping[str, Tree]) -> bytes:
    stream = BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        _add(archive, _LOCATIONS, Member(content=json.dumps(list(trees)).encode()))
        for place, tree in zip(_places(trees), trees.values(), strict=True):
            for below, member in tree.items():
                _add(archive, posixpath.join(place, below) if below else place, member)
    return stream.getvalue()


def _plain(archive: tarfile.TarFile) -> list[tarfile.TarInfo]:
    """Return the members of an archive, with no rights but the usual ones.

    Raises:
        TarError: One would lie elsewhere, or is neither a file nor a directory.
    """
    members = archive.getmembers()
    for member in members:
        if not (member.isreg() or member.isdir()) or member.name.startswith("/") or ".." in member.name.split("/"):
            raise tarfile.TarError(f"{member.name!r} is no file or directory below")
        member.mode &= 0o755
    return members


def _add(archive: tarfile.TarFile, name: str, member: Member) -> None:
    described = tarfile.TarInfo(name)
    described.mode = 0o755 if member.executable or member.content is None else 0o644
    if member.content is None:
        described.type = tarfile.DIRTYPE
    else:
        described.size = len(member.content)
    archive.addfile(described, BytesIO(member.content or b""))


def _former_trees(packed: bytes) -> dict[str, Tree]:
    """Read what deployments hold that were made before there were archives: base64 in compressed JSON."""
    trees: dict[str, Tree] = {}
    for location, content in _FORMER.validate_json(zlib.decompress(packed)).items():
        directories = [] if "" in content.files else ["", *content.directories]
        if any(name.startswith("/") or ".." in name.split("/") for name in (*content.files, *directories)):
            raise ValueError("a path leads out of its directory")
        trees[location] = {name: Member() for name in directories} | {
            name: Member(base64.b64decode(text), executable) for name, (text, executable) in content.files.items()
        }
    return trees


def _places(locations: Iterable[str]) -> Iterator[str]:
    """Return a place for each location, in a directory of its own, since its siblings may have its name."""
    return (f"{_DIRECTORY}/{number}/{_name(location)}" for number, location in enumerate(locations))


def _name(location: str) -> str:
    path = path_of(location)
    return "" if path is None or path.name == ".." else path.name


def _is_shown(path: Path, root: Path) -> bool:
    """Check whether something lies below a directory, and nothing on the way is hidden."""
    return path.is_relative_to(root) and not any(part.startswith(".") for part in path.relative_to(root).parts)


def _named(plan: WorkflowPlan) -> dict[str, Path]:
    """Return the files of this machine that a plan names."""
    found = file_objects(json.loads(encode_plan(plan)))
    locations = (each.get("location", each.get("path")) for each in found)
    return {
        location: path
        for location in locations
        if isinstance(location, str)
        and (path := path_of(location)) is not None
        and path.is_absolute()
        and _name(location)
    }


def _root(plan: WorkflowPlan) -> Path | None:
    """Return the directory that a plan's document lies in, if it does on this machine."""
    origin = None if plan.origin is None else plan.origin.partition("#")[0]
    path = path_of(origin) if origin else None
    return None if path is None else path.resolve().parent


def _tree(path: Path, room: int) -> Tree | None:
    """Read a file or a directory; None where it cannot be read, or holds links, what is hidden, or more than fits."""
    try:
        if not path.is_dir():
            return {"": _file(path)} if path.is_file() and path.stat().st_size <= room else None
        tree = {"": Member()}
        for found in path.rglob("*"):
            if found.name.startswith(".") or found.is_symlink():
                return None
            if found.is_dir():
                tree[str(found.relative_to(path))] = Member()
                continue
            room -= found.stat().st_size
            if room < 0 or not found.is_file():
                return None
            tree[str(found.relative_to(path))] = _file(found)
    except OSError:
        return None
    return dict(sorted(tree.items()))


def _file(path: Path) -> Member:
    return Member(path.read_bytes(), os.access(path, os.X_OK))
