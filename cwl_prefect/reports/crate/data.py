"""The files of a run as entities of a crate: each once by its content, copied into it or only named."""

import json
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

from pydantic import JsonValue

from cwl_prefect._lib.hashing import checksum_of, digits
from cwl_prefect._lib.uris import is_elsewhere, path_of
from cwl_prefect.engine.cache.checksums import Checksums
from cwl_prefect.engine.records.secrets import HIDDEN
from cwl_prefect.model.values import CwlObject, in_utf8, is_file_object, map_file_objects
from cwl_prefect.reports.crate.entities import Entities, quoted

DATA = "data"
"""Directory of a crate where its data lie."""

_CLOCK_S = 2.0  # by which times of files may differ from those of the trace


class Data:
    """The files of a run; a file that is not any more what it was in the run is named by its content, not copied.

    Args:
        entities: Where entities are added.
        run: Names what has no checksum.
        until: When the run ended; what changed later is not what it saw.
        copied: Whether files are copied into the crate.
        checksums: Of files of this machine.
    """

    def __init__(self, entities: Entities, *, run: str, until: float, copied: bool, checksums: Checksums) -> None:
        self._entities = entities
        self._run = run
        self._until = until
        self._copied = copied
        self._checksums = checksums
        self._known: dict[str, str] = {}  # checksums by location
        self._places: dict[str, dict[Path, None]] = {}  # where files and directories are, by what they are
        self.sources: dict[str, Path | bytes] = {}
        """What is to be copied, or its content, by path in the crate."""

    def note(self, value: JsonValue) -> None:
        """Note where files are and what is known of them, before anything is named."""
        for file in _with_parts(value):
            location, checksum = str(file.get("location")), file.get("checksum")
            if isinstance(checksum, str):
                self._known[location] = checksum
        for file in _with_parts(value):
            path = path_of(str(file.get("location") or "_:"))
            if path is not None:
                self._checksum(file)
                self._places.setdefault(self._content(file), {})[path] = None

    def references(self, value: JsonValue) -> list[str]:
        """Return the identifiers of the files and directories of a value."""
        return [self._reference(file) for file in _outermost(value)]

    def text(self, value: JsonValue) -> JsonValue:
        """Return a value as one of JSON-LD: what is no text, number or truth value becomes a text of JSON."""
        if isinstance(value, str | bool | int | float):
            return value
        return json.dumps(map_file_objects(value, lambda file: {"@id": self._reference(file)}))

    def located(self, file: CwlObject) -> CwlObject:
        """Return a file that the document names, as the document in the crate names it."""
        location = str(file.get("location") or "")
        if not location or is_elsewhere(location):
            return file
        identifier = self._reference({name: item for name, item in file.items() if name != "secondaryFiles"})
        return {**{name: item for name, item in file.items() if name != "path"}, "location": identifier}

    def _reference(self, file: CwlObject) -> str:
        main = self._directory(file) if file.get("class") == "Directory" else self._file(file)
        beside = file.get("secondaryFiles")
        if not isinstance(beside, list) or not beside:
            return main
        parts = [main, *self.references(beside)]
        identifier = f"#collection/{quoted(' '.join(parts))}"
        self._entities.add(identifier, "Collection", name=f"{_name(file)} and its secondary files")
        self._entities.link(identifier, "mainEntity", main)
        for part in parts:
            self._entities.link(identifier, "hasPart", part)
        return identifier

    def _file(self, file: CwlObject) -> str:
        checksum = self._checksum(file)
        identifier = self._place_of(file, checksum)
        size, kind = file.get("size"), file.get("format")
        return self._entities.add(
            identifier,
            "File",
            name=_name(file),
            contentSize=None if size is None else str(size),
            sha1=None if checksum is None else digits(checksum),
            encodingFormat=kind if isinstance(kind, str) else None,
        )

    def _place_of(self, file: CwlObject, checksum: str | None) -> str:
        location = str(file.get("location") or "")
        if location and location != HIDDEN and is_elsewhere(location):
            return _public(location)
        if checksum is None:
            return f"urn:uuid:{uuid5(NAMESPACE_URL, self._run + location + _name(file))}"
        path = f"{DATA}/{digits(checksum)}/{_name(file)}"
        source = self._source(file, checksum) if self._copied else None
        if source is None:
            return f"urn:hash::sha1:{digits(checksum)}#{quoted(_name(file))}"
        self.sources[path] = source
        return f"{DATA}/{digits(checksum)}/{quoted(_name(file))}"

    def _source(self, file: CwlObject, checksum: str) -> Path | bytes | None:
        contents = file.get("contents")
        if isinstance(contents, str) and checksum_of(contents.encode()) == checksum:
            return contents.encode()
        every = self._places.get(self._content(file), {})
        return next((path for path in every if self._computed(path) == checksum), None)

    def _checksum(self, file: CwlObject) -> str | None:
        location, contents = str(file.get("location") or "_:"), file.get("contents")
        known = file.get("checksum") or self._known.get(location)
        if isinstance(known, str):
            return known
        path = path_of(location)
        if path is None:
            return checksum_of(contents.encode()) if isinstance(contents, str) else None
        if file.get("class") != "File":
            return None
        computed = self._computed(path, until=self._until)
        if computed is not None:
            self._known[location] = computed
        return computed

    def _computed(self, path: Path, until: float | None = None) -> str | None:
        """Return the checksum of a file of this machine; None where there is none, or where it changed since."""
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode) or (until is not None and status.st_mtime > until + _CLOCK_S):
                return None
            return self._checksums.known(path, status) or self._checksums.compute(path)
        except (OSError, ValueError):
            return None

    def _content(self, file: CwlObject) -> str:
        """Return what tells a file or directory from others: its name and content, or its location."""
        location, listing = str(file.get("location")), file.get("listing")
        if file.get("class") == "File":
            checksum = file.get("checksum") or self._known.get(location)
            return location if checksum is None else f"{checksum} {_name(file)}"
        if not isinstance(listing, list):
            return location
        parts = [self._content(part) for part in listing if isinstance(part, dict)]
        return checksum_of(json.dumps([_name(file), *sorted(parts)]).encode())

    def _directory(self, file: CwlObject) -> str:
        content, listing = self._content(file), file.get("listing")
        if is_elsewhere(str(file.get("location") or "_:")):
            return self._entities.add(_public(str(file["location"])), "Dataset", name=_name(file))
        key = uuid5(NAMESPACE_URL, self._run + content)
        source = next(filter(self._is_unchanged, self._places.get(content, {})), None) if self._copied else None
        if source is not None:
            return self._copied_directory(source, Path(DATA, str(key), _name(file)))
        identifier = self._entities.add(f"urn:uuid:{key}", "Dataset", name=_name(file))
        for part in self.references(listing if isinstance(listing, list) else []):
            self._entities.link(identifier, "hasPart", part)
        return identifier

    def _copied_directory(self, source: Path, target: Path) -> str:
        identifier = f"{'/'.join(map(quoted, target.parts))}/"
        if identifier in self._entities:
            return identifier
        self._entities.add(identifier, "Dataset", name=target.name)
        self.sources[f"{target}/"] = b""
        for path in _files_of(source):
            checksum, place = self._computed(path), target / in_utf8(str(path.relative_to(source)))
            if checksum is not None:
                self.sources[str(place)] = path
                part = "/".join(map(quoted, place.parts))
                self._entities.add(part, "File", name=place.name, sha1=digits(checksum))
                self._entities.link(identifier, "hasPart", part)
        return identifier

    def _is_unchanged(self, directory: Path) -> bool:
        """Check whether nothing within a directory changed since the run."""
        try:
            every = (directory, *_files_of(directory))
            return directory.is_dir() and all(path.stat().st_mtime <= self._until + _CLOCK_S for path in every)
        except (OSError, ValueError):
            return False


def _files_of(directory: Path) -> Iterator[Path]:
    """Yield the regular files below a directory; links are not followed."""
    for root, _, names in os.walk(directory):
        for name in sorted(names):
            path = Path(root, name)
            if stat.S_ISREG(path.lstat().st_mode):
                yield path


def _outermost(value: JsonValue) -> Iterable[CwlObject]:
    """Yield the files and directories of a value, without those within others."""
    if isinstance(value, list):
        for item in value:
            yield from _outermost(item)
    elif isinstance(value, dict):
        if is_file_object(value):
            yield value
        else:
            for item in value.values():
                yield from _outermost(item)


def _with_parts(value: JsonValue) -> list[CwlObject]:
    """Return the files and directories of a value, those within others first."""
    found: list[CwlObject] = []

    def add(file: CwlObject) -> CwlObject:
        """Note a file, and leave it as it is."""
        found.append(file)
        return file

    map_file_objects(value, add)
    return found


def _name(file: CwlObject) -> str:
    """Return the name of a file or directory that a path may end with."""
    location = str(file.get("location") or "")
    path = path_of(location)
    name = file.get("basename") or (path.name if path is not None else _public(location).rpartition("/")[2])
    text = in_utf8(str(name))
    return text if text not in ("", ".", "..") and "/" not in text and "\0" not in text else str(file.get("class"))


def _public(location: str) -> str:
    """Return an address without what may be a secret: user, password and query."""
    try:
        found = urlsplit(location)
    except ValueError:
        return "urn:x-unknown:"
    return found._replace(netloc=found.netloc.rpartition("@")[2], query="", fragment="").geturl()
