"""What a file or directory is to a tool: its name and content, never its path."""

import hashlib
import json
import os
import stat
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cwl_prefect._lib.uris import path_of
from cwl_prefect.engine.cache.checksums import LARGE, Checksums, Identity
from cwl_prefect.model.values import CwlObject, CwlValue, is_file_object

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)

# What follows from the others, from the content, or from where a file happens to lie.
_DERIVED = frozenset(
    {
        "basename",
        "checksum",
        "class",
        "contents",
        "dirname",
        "format",
        "listing",
        "location",
        "nameext",
        "nameroot",
        "path",
        "secondaryFiles",
        "size",
    }
)


class NotReusableError(Exception):
    """A call has no key; the text says why."""


@dataclass(slots=True, kw_only=True)
class Fingerprints:
    """Takes the fingerprints of values: everything that a tool may see of them.

    A large file whose checksum is not known is noted in ``unread``, and the fingerprint is then of no use: compute
    those checksums first, and take it again.

    Attributes:
        checksums: Known checksums.
        by_metadata: Whether path, size and time of change stand for the content of a file that no step made.
        unread: Large files whose checksums are needed.
        objects: Every file and directory object, in the order of the fingerprint.
        seen: What each file and directory was when it was looked at.
    """

    checksums: Checksums
    by_metadata: bool = False
    unread: list[Path] = field(default_factory=list)
    objects: list[CwlObject] = field(default_factory=list)
    seen: dict[Path, Identity] = field(default_factory=dict)

    def check_unchanged(self) -> None:
        """Check that every file and directory is still what it was when it was looked at.

        Raises:
            NotReusableError: One is not.
        """
        for path, identity in self.seen.items():
            try:
                same = Identity.of(path.stat()) == identity
            except OSError:
                same = False
            if not same:
                raise NotReusableError(f"its input {path} changed while it ran")

    def of(self, value: CwlValue) -> CwlValue:
        """Take the fingerprint of any value.

        Raises:
            NotReusableError: A file is missing, elsewhere, or no regular file.
        """
        if isinstance(value, list):
            return [self.of(item) for item in value]
        if not isinstance(value, dict):
            return value
        if is_file_object(value):
            self.objects.append(value)
            return self._described(value)
        return {name: self.of(value[name]) for name in sorted(value)}

    def _described(self, value: CwlObject) -> CwlObject:
        location = value.get("location") or value.get("path")
        found: CwlObject = {"class": value["class"], "basename": _basename(value)}
        if isinstance(location, str) and not location.startswith("_:"):
            found |= self._content(value["class"] == "Directory", local_path(location))
        elif value["class"] == "Directory":
            found["listing"] = self.of(value.get("listing") or [])
        else:
            found["literal"] = _digest(str(value.get("contents") or ""))
        if value.get("secondaryFiles"):
            found["secondaryFiles"] = self.of(value["secondaryFiles"])
        for name in sorted(value.keys() - _DERIVED):
            found[f"other {name}"] = value[name]
        return found

    def _content(self, directory: bool, path: Path) -> CwlObject:  # noqa: FBT001 - of its two kinds
        try:
            status = path.stat()
            if directory:
                return {"tree": self._tree(path, frozenset())}
            return self._file(path, status)
        except OSError as error:
            raise NotReusableError(f"{path} cannot be read: {error.strerror or error}") from error

    def _file(self, path: Path, status: os.stat_result) -> CwlObject:
        if not stat.S_ISREG(status.st_mode):
            raise NotReusableError(f"{path} is no regular file")
        self.seen[path] = Identity.of(status)
        found: CwlObject = {"size": status.st_size}
        if status.st_mode & 0o111:
            found["executable"] = True
        checksum = self.checksums.known(path, status)
        if checksum is None and self.by_metadata:
            return {**found, "metadata": [str(path), status.st_mtime_ns]}
        if checksum is None and status.st_size >= LARGE:
            self.unread.append(path)
            return found
        return {**found, "checksum": checksum or self.checksums.compute(path)}

    def _tree(self, directory: Path, above: frozenset[tuple[int, int]]) -> CwlObject:
        status = directory.stat()
        identity = (status.st_dev, status.st_ino)
        if identity in above:
            raise NotReusableError(f"{directory} contains itself by a link")
        self.seen[directory] = Identity.of(status)
        found: CwlObject = {}
        with os.scandir(directory) as entries:
            for entry in sorted(entries, key=lambda each: each.name):
                path = Path(entry.path)
                if entry.is_dir():
                    found[entry.name] = self._tree(path, above | {identity})
                elif entry.is_symlink() and not path.exists():
                    target = os.readlink(entry.path)  # noqa: PTH115 - Path would write it anew
                    found[entry.name] = f"link to {target}"  # which may be in an image
                else:
                    found[entry.name] = self._file(path, entry.stat())
        return found


def local_path(location: str) -> Path:
    """Return the path of a location on this machine.

    Raises:
        NotReusableError: It is elsewhere.
    """
    path = path_of(location)
    if path is None or not path.is_absolute():
        raise NotReusableError(f"{location} is not on this machine, so that nobody knows whether it changed")
    return path


def in_order(value: CwlValue) -> CwlValue:
    """Write each record as the list of its fields, so that their order counts; files and directories stay."""
    if isinstance(value, list):
        return [in_order(item) for item in value]
    if not isinstance(value, dict) or is_file_object(value):
        return value
    return {"in this order": [[name, in_order(item)] for name, item in value.items()]}


def canonical(value: CwlValue | Mapping[str, CwlValue]) -> str:
    """Write a value so that equal values are equal texts, whatever the order of their keys."""
    return _CANONICAL.encode(value)


def digest(value: CwlValue | Mapping[str, CwlValue]) -> str:
    """Return the SHA-256 of a value."""
    return _digest(canonical(value))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _basename(value: CwlObject) -> CwlValue:
    """Name an object, but not by the random name that cwltool gives to a literal without any."""
    location, basename = value.get("location"), value.get("basename")
    if isinstance(location, str) and location.startswith("_:") and basename in (None, location[2:]):
        return None
    if basename is None and isinstance(location or value.get("path"), str):
        path = urllib.parse.urlsplit(str(location or value["path"])).path
        return urllib.parse.unquote(path.rstrip("/").rpartition("/")[2])
    return basename
