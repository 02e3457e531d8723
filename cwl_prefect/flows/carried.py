"""Files that lie with a document, such as a default's, travel inside its deployment: workers have no copy of them."""

import base64
import json
import os
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from pydantic import TypeAdapter

from cwl_prefect.engine.placement import file_uri, local_path
from cwl_prefect.model.plan import WorkflowPlan, encode_plan
from cwl_prefect.model.values import file_objects

MOST_BYTES = 1 << 20
"""How much a deployment carries; Prefect reads all of it whenever it shows the deployment."""

_DIRECTORY = "files"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a File or Directory holds, by paths below it; a File's own path is empty.

    Attributes:
        directories: The directories that it has.
        files: The bytes of each file, in base64, and whether it can be executed.
    """

    directories: tuple[str, ...] = ()
    files: Mapping[str, tuple[str, bool]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """Files and Directories that a plan names and that lie with its document.

    Attributes:
        contents: What each holds, by its location.
        left: Locations of those that do not travel: they lie elsewhere, are not there or are too large.
    """

    contents: Mapping[str, Content] = field(default_factory=dict)
    left: tuple[str, ...] = ()

    @classmethod
    def read(cls, plan: WorkflowPlan) -> "Carried":
        """Read what a plan names below the directory of its document.

        Nothing else is read, nor what is hidden there: a document must not bring to a server what its user did not mean
        to show, such as keys in a home directory.
        """
        root, room = _root(plan), MOST_BYTES
        contents: dict[str, Content] = {}
        left: list[str] = []
        for location, path in _named(plan).items():
            content = _content(path, room) if root is not None and _is_shown(path.resolve(), root) else None
            if content is None:
                left.append(location)
                continue
            contents[location] = content
            room -= _size(content)
        return cls(contents=contents, left=tuple(left))

    def packed(self) -> str | None:
        """Write it as a text that no templating can change; None where there is nothing to carry."""
        if not self.contents:
            return None
        text = _CONTENTS.dump_json(dict(self.contents))
        return base64.b64encode(zlib.compress(text, 9)).decode("ascii")

    @classmethod
    def unpacked(cls, text: str | None) -> "Carried":
        """Read what :meth:`packed` wrote.

        Raises:
            ValueError: It did not write this.
        """
        if text is None:
            return cls()
        try:
            contents = _CONTENTS.validate_json(zlib.decompress(base64.b64decode(text, validate=True)))
        except zlib.error as error:
            raise ValueError(str(error)) from error
        names = [name for content in contents.values() for name in (*content.directories, *content.files)]
        if not all(map(_is_below, names)) or not all(map(_name, contents)):
            raise ValueError("a path leads out of its directory")
        return cls(contents=contents)

    def lay(self, directory: Path) -> None:
        """Write everything below a directory, once.

        Raises:
            OSError: It cannot be written.
        """
        if not self.contents or (directory / _DIRECTORY).exists():
            return
        with tempfile.TemporaryDirectory(dir=directory, prefix=".", suffix=".part") as part:
            made = Path(part, _DIRECTORY)
            for place, content in self._places(made):
                _write(content, place)
            try:
                made.rename(directory / _DIRECTORY)
            except OSError:
                if not (directory / _DIRECTORY).exists():  # another process was first
                    raise

    def locations(self, directory: Path) -> dict[str, str]:
        """Tell where each location's content lies now: where it did if that is the same still, else as laid."""
        laid = dict(zip(self.contents, self._places(directory / _DIRECTORY), strict=True))
        return {
            location: file_uri(place)
            for location, (place, content) in laid.items()
            if (path := local_path({"location": location})) is None or _content(path, MOST_BYTES) != content
        }

    def _places(self, root: Path) -> Iterator[tuple[Path, Content]]:
        """Give each content a directory of its own, since its siblings may have its name."""
        for number, (location, content) in enumerate(self.contents.items()):
            yield root / str(number) / _name(location), content


def _name(location: str) -> str:
    name = PurePosixPath(unquote(urlsplit(location).path)).name
    return "" if name == ".." else name


def _is_below(name: str) -> bool:
    return not name.startswith("/") and ".." not in name.split("/")


def _is_shown(path: Path, root: Path) -> bool:
    """Tell whether something lies below a directory, and nothing on the way is hidden."""
    return path.is_relative_to(root) and not any(part.startswith(".") for part in path.relative_to(root).parts)


_CONTENTS = TypeAdapter(dict[str, Content])


def _named(plan: WorkflowPlan) -> dict[str, Path]:
    """Find the files of this machine that a plan names."""
    found = file_objects(json.loads(encode_plan(plan)))
    locations = (each.get("location", each.get("path")) for each in found)
    return {
        location: path
        for location in locations
        if isinstance(location, str)
        and urlsplit(location).scheme in ("", "file")
        and (path := local_path({"location": location})) is not None
        and path.is_absolute()
        and _name(location)
    }


def _root(plan: WorkflowPlan) -> Path | None:
    """Tell which directory a plan's document lies in, if it does on this machine."""
    origin = None if plan.origin is None else plan.origin.partition("#")[0]
    path = None if not origin or urlsplit(origin).scheme not in ("", "file") else local_path({"location": origin})
    return None if path is None else path.resolve().parent


def _content(path: Path, room: int) -> Content | None:
    """Read a file or a directory; None where it is neither, cannot be read or has more bytes than there is room for."""
    try:
        if not path.is_dir():
            return None if path.stat().st_size > room else Content(files={"": _file(path)})
        return _tree(path, room)
    except OSError:
        return None


def _tree(root: Path, room: int) -> Content | None:
    directories: list[str] = []
    files: dict[str, tuple[str, bool]] = {}
    for place, names, members in os.walk(root, followlinks=False):
        names.sort()
        below = Path(place).relative_to(root)
        directories.extend(str(below / name) for name in names)
        if any(name.startswith(".") for name in (*names, *members)):
            return None
        for name in sorted(members):
            path = Path(place, name)
            room -= path.stat().st_size
            if room < 0 or path.is_symlink() or not path.is_file():
                return None
            files[str(below / name)] = _file(path)
        if any(Path(place, name).is_symlink() for name in names):
            return None
    return Content(directories=tuple(directories), files=files)


def _file(path: Path) -> tuple[str, bool]:
    return base64.b64encode(path.read_bytes()).decode("ascii"), os.access(path, os.X_OK)


def _size(content: Content) -> int:
    return sum(len(text) * 3 // 4 for text, _ in content.files.values())


def _write(content: Content, place: Path) -> None:
    is_file = "" in content.files
    (place.parent if is_file else place).mkdir(parents=True)
    for name in content.directories:
        (place / name).mkdir()
    for name, (text, executable) in content.files.items():
        path = place / name if name else place
        path.write_bytes(base64.b64decode(text))
        path.chmod(0o755 if executable else 0o644)
