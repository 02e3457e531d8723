"""Where each output goes, and what the output object says of it then; nothing is written here."""

import errno
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from cwl_prefect._lib.destinations import Destination, below
from cwl_prefect._lib.hashing import checksum_of, file_checksum
from cwl_prefect._lib.uris import file_uri, is_elsewhere, path_of
from cwl_prefect.errors import PublishError
from cwl_prefect.model.values import MOST_NESTED, TOO_DEEP, CwlObject, is_file_object

_DROPPED = frozenset({"contents", "dirname", "listing", "location", "nameext", "nameroot", "path", "secondaryFiles"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A file or directory that goes to ``target``, a path relative to the destination."""

    source: Path  # free of links
    target: str
    movable: bool  # as far as it can be seen alone: no links are inside, and no file has another name


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file literal that goes to ``target``."""

    text: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A directory literal that goes to ``target``; what is in it follows."""

    target: str


@dataclass(slots=True, kw_only=True)
class Placement:
    """Gives every file and directory of an output object its place below a destination.

    Names are those of the objects; a name that is taken gets ``_2``, ``_3`` and so on. Secondary files lie next to
    their primary file. One file that is an output twice is delivered once.

    Attributes:
        destination: Where the outputs go; at a URL, nobody looks here what is there already.
        reserved: Names that outputs may not have.
        replaceable: Names of directories in the destination that may be replaced; others are left alone, unlike files.
        deliveries: What is to be delivered, in order.
    """

    destination: Destination
    reserved: Collection[str] = ()
    replaceable: Collection[str] = ()
    deliveries: list[Copied | Written | Made] = field(default_factory=list)
    _root: str = field(init=False)  # the destination, to be followed by a slash
    _here: bool = field(init=False)  # whether it is a directory of this machine
    _taken: set[str] = field(default_factory=set)
    _numbers: dict[tuple[str, bool], int] = field(default_factory=dict)  # the last that a name got
    _real_directories: dict[str, str] = field(default_factory=dict)  # directories to where they really are
    _delivered: dict[tuple[str, str, str], str] = field(default_factory=dict)  # (source, folder, basename) to target

    def __post_init__(self) -> None:
        """Spell the destination once for all outputs."""
        self._root = str(self.destination).rstrip("/")
        self._here = isinstance(self.destination, Path)

    @property
    def asked(self) -> frozenset[str]:
        """Names that were asked for, whether or not they were free."""
        return frozenset(wanted for wanted, _ in self._numbers)

    def place(self, value: JsonValue, folder: str = "") -> JsonValue:
        """Copy a value with all its files and directories placed; what is not on this machine stays as it is.

        Args:
            value: Any CWL value.
            folder: Directory for the outermost files, relative to the destination.

        Raises:
            PublishError: A basename is no file name, or an object has neither a location nor anything to write.
            OSError: A file cannot be read.
        """
        if isinstance(value, list):
            return [self.place(item, folder) for item in value]
        if not isinstance(value, dict):
            return value
        if not is_file_object(value):
            return {name: self.place(item, folder) for name, item in value.items()}
        if _is_remote(value):
            return value
        return self._file(value, folder) if value["class"] == "File" else self._directory(value, folder)

    def _file(self, value: CwlObject, folder: str) -> CwlObject:
        source = path_here(value)
        described = self._literal(value, folder) if source is None else self._existing_file(value, source, folder)
        secondary = value.get("secondaryFiles")
        if isinstance(secondary, list) and secondary:
            described["secondaryFiles"] = self.place(secondary, folder)
        return described

    def _existing_file(self, value: CwlObject, source: Path, folder: str) -> CwlObject:
        real, status = self._found(source)
        basename = _basename(value, source.name)
        target = self._deliver(real, basename, folder, directory=False, movable=not has_other_names(status))
        return self._describe(value, target, basename) | _size_and_checksum(value, real, status)

    def _found(self, source: Path) -> tuple[Path, os.stat_result]:
        """Follow all links to a file; those to its directories are followed once for all files below."""
        parent, name = os.path.split(source)
        real_parent = self._real_directory(parent)
        real = source if real_parent == parent else Path(real_parent, name)
        status = real.lstat()
        if not stat.S_ISLNK(status.st_mode):
            return real, status
        real = _real_path(real)
        return real, real.stat()

    def _real_directory(self, directory: str) -> str:
        found = self._real_directories.get(directory)
        if found is None:
            above, name = os.path.split(directory)
            found = directory if above == directory else os.path.join(self._real_directory(above), name)  # noqa: PTH118
            if name in ("", ".", "..") or stat.S_ISLNK(os.lstat(found).st_mode):
                found = os.path.realpath(found, strict=True)
            self._real_directories[directory] = found
        return found

    def _literal(self, value: CwlObject, folder: str) -> CwlObject:
        text = value.get("contents")
        if not isinstance(text, str):
            msg = f"an output File has neither a location nor contents: {value.get('basename')!r}"
            raise PublishError(msg, hint="let the expression that makes it give it one of both")
        basename = _basename(value, "literal")
        target = self._free_name(folder, basename, directory=False)
        self.deliveries.append(Written(text=text, target=target))
        content = text.encode("utf-8", "surrogateescape")
        checksum = checksum_of(content)
        return self._describe(value, target, basename) | {"size": len(content), "checksum": checksum}

    def _directory(self, value: CwlObject, folder: str) -> CwlObject:
        source = path_here(value)
        if source is not None:
            return self._existing_directory(value, source, folder)
        basename = _basename(value, "directory")
        target = self._free_name(folder, basename, directory=True)
        self.deliveries.append(Made(target=target))
        listing = value.get("listing")
        inside = self.place(listing, target) if isinstance(listing, list) else []
        return self._describe(value, target, basename) | {"listing": inside}

    def _existing_directory(self, value: CwlObject, source: Path, folder: str) -> CwlObject:
        real = _real_path(source)
        basename = _basename(value, source.name)
        tree = _Tree()
        listing = tree.listing(real, value.get("listing"))
        target = self._deliver(real, basename, folder, directory=True, movable=not tree.has_links)
        inside = self._located(listing, target)
        return self._describe(value, target, basename) | {"listing": inside}

    def _deliver(self, real: Path, basename: str, folder: str, *, directory: bool, movable: bool) -> str:
        source = str(real)
        known = self._delivered.get((source, folder, basename))
        if known is not None:
            return known
        target = _joined(folder, basename)
        if self._here and not folder and source == f"{self._root}/{target}" and target not in self._taken:
            self._taken.add(target)  # it lies where it is to be
        else:
            target = self._free_name(folder, basename, directory=directory)
            self.deliveries.append(Copied(source=real, target=target, movable=movable))
        self._delivered[source, folder, basename] = target
        return target

    def _free_name(self, folder: str, basename: str, *, directory: bool) -> str:
        wanted = _joined(folder, basename)
        number = self._numbers.get((wanted, directory), 0) + 1
        while not self._is_free(_numbered(wanted, number), directory=directory):
            number += 1
        self._numbers[wanted, directory] = number
        self._taken.add(_numbered(wanted, number))
        return _numbered(wanted, number)

    def _is_free(self, target: str, *, directory: bool) -> bool:
        if target in self._taken or target in self.reserved:
            return False
        if not self._here or "/" in target or not os.path.lexists(f"{self._root}/{target}"):
            return True
        existing = Path(self._root, target)
        if existing.is_dir() and not existing.is_symlink():
            return directory and target in self.replaceable
        return not directory

    def _describe(self, value: CwlObject, target: str, basename: str) -> CwlObject:
        kept = {name: item for name, item in value.items() if name not in _DROPPED}
        return self._location(target) | kept | {"basename": basename}

    def _located(self, listing: list[CwlObject], directory: str) -> JsonValue:
        """Copy a listing with the places that its files will have."""
        located: list[JsonValue] = []
        for item in listing:
            target = f"{directory}/{item['basename']}"
            inner = (
                {"listing": self._located(cast("list[CwlObject]", item["listing"]), target)}
                if item["class"] == "Directory"
                else {}
            )
            located.append(self._location(target) | item | inner)
        return located

    def _location(self, target: str) -> CwlObject:
        if not self._here:
            return {"location": str(below(self._root, target))}
        path = f"{self._root}/{target}"
        return {"location": file_uri(path), "path": path}


@dataclass(slots=True)
class _Tree:
    """Reads a directory, following links; remembers whether there were any, of either kind."""

    has_links: bool = False

    def listing(self, directory: Path, known: JsonValue, above: frozenset[Path] = frozenset()) -> list[CwlObject]:
        """Describe what is in a directory, with sizes and checksums from an earlier listing where there is one."""
        real = directory.resolve()
        if real in above:
            msg = f"the output directory {directory} contains itself by a link"
            raise PublishError(msg, hint="let the tool remove that link")
        if len(above) >= MOST_NESTED:
            raise PublishError(f"the output directory {directory} cannot be delivered: {TOO_DEEP}")
        described = (
            {item.get("basename"): item for item in known if isinstance(item, dict)} if isinstance(known, list) else {}
        )
        found: list[CwlObject] = []
        with os.scandir(directory) as entries:
            for entry in sorted(entries, key=lambda each: each.name):
                self.has_links = self.has_links or entry.is_symlink() or has_other_names(entry.stat())
                found.extend(self._entry(Path(entry.path), described.get(entry.name, {}), above | {real}))
        return found

    def _entry(self, path: Path, known: CwlObject, above: frozenset[Path]) -> Iterator[CwlObject]:
        if path.is_dir():
            yield {
                "class": "Directory",
                "basename": path.name,
                "listing": cast("JsonValue", self.listing(path, known.get("listing"), above)),
            }
        elif path.exists():
            kept = {name: item for name, item in known.items() if name not in _DROPPED}
            yield {"class": "File"} | kept | {"basename": path.name} | _size_and_checksum(known, path, path.stat())


def has_other_names(status: os.stat_result) -> bool:
    """Check whether what has this status is a file known by other names too, such as that of an object of the cache."""
    return stat.S_ISREG(status.st_mode) and status.st_nlink > 1


def path_here(value: CwlObject) -> Path | None:
    """Return where on this machine a File or Directory lies; None for a literal, and for what lies elsewhere."""
    location = value.get("location") or value.get("path")
    return path_of(location) if isinstance(location, str) else None


def _is_remote(value: CwlObject) -> bool:
    location = value.get("location")
    return isinstance(location, str) and is_elsewhere(location)


def _real_path(path: Path) -> Path:
    return Path(os.path.realpath(path, strict=True))  # Path.resolve raises no OSError where links go in circles


def _joined(folder: str, basename: str) -> str:
    return f"{folder}/{basename}" if folder else basename


def _numbered(target: str, number: int) -> str:
    return f"{target}_{number}" if number > 1 else target


def _basename(value: CwlObject, otherwise: str) -> str:
    basename = value.get("basename") or otherwise
    if isinstance(basename, str) and basename not in (".", "..") and not {"/", "\0"} & set(basename):
        return basename
    msg = f"{basename!r} is not a name for an output file"
    raise PublishError(msg, hint="a basename must not contain a slash or a null character")


def _size_and_checksum(value: CwlObject, path: Path, status: os.stat_result) -> CwlObject:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    size = status.st_size
    checksum = value.get("checksum")
    if isinstance(checksum, str) and value.get("size") == size:
        return {"size": size, "checksum": checksum}
    return {"size": size, "checksum": file_checksum(path)}
