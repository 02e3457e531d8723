"""Outputs of a call as an entry of the cache and back: paths become relative to the output directory."""

import errno
import json
import os
import stat
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from cwl_prefect._lib.hashing import checksum_of
from cwl_prefect._lib.uris import file_uri
from cwl_prefect.engine.cache.checksums import Checksums
from cwl_prefect.engine.cache.fingerprint import NotReusableError, local_path
from cwl_prefect.engine.cache.store import DamagedError, Store
from cwl_prefect.engine.staging.copying import write_all
from cwl_prefect.model.cache import ENTRY_FORMAT, BrokenLink, CacheEntry, StoredFile, StoredLink
from cwl_prefect.model.json_text import loads
from cwl_prefect.model.values import CwlObject, as_object, file_objects, map_file_objects

SMALL_FILE = 4096
"""Bytes up to which a file lies in its entry: an object of its own would take as much of the disk."""

_IN_OUTPUTS, _IN_INPUTS = "out:", "in:"
_OF_ITS_PLACE = frozenset({"dirname", "location", "path"})


@dataclass(slots=True, kw_only=True)
class Captured:
    """The outputs of a call, told apart from where they lie."""

    outputs: CwlObject
    files: dict[str, StoredFile] = field(default_factory=dict)
    directories: dict[str, None] = field(default_factory=dict)
    links: dict[str, StoredLink] = field(default_factory=dict)
    broken_links: dict[str, BrokenLink] = field(default_factory=dict)


def capture(outputs: CwlObject, outdir: Path, inputs: Sequence[CwlObject], checksums: Checksums) -> Captured:
    """Describe the outputs of a call that ended well; nothing is stored yet.

    Args:
        outputs: What was collected, with absolute locations.
        outdir: The call's output directory.
        inputs: Files and directories of its inputs, in the order of its key.
        checksums: Learns the checksums of the outputs, so that no later step reads them again.

    Raises:
        NotReusableError: An output lies neither in the output directory nor among the inputs.
        OSError: One cannot be read.
    """
    capturing = _Capturing(outdir=outdir, inputs=inputs, checksums=checksums)
    capturing.found.outputs = as_object(map_file_objects(outputs, capturing.described))
    return capturing.found


def restore(
    entry: CacheEntry, outdir: Path, inputs: Sequence[CwlObject], store: Store, checksums: Checksums
) -> CwlObject:
    """Put the files of an entry into an output directory, as its call would have, and give the outputs.

    Raises:
        DamagedError: An object is missing or damaged, or the entry does not fit the inputs.
        OSError: The output directory cannot be written, or a link of the entry that led nowhere would lead somewhere.
    """
    root = str(outdir)
    for below in entry.directories:
        Path(_inside(root, below)).mkdir(parents=True, exist_ok=True)
    for file in entry.files:
        _restore_file(file, _inside(root, file.path), store, checksums)
    for link in entry.links:
        _place_of_link(link.path, root).symlink_to(_input_path(inputs, link.number, link.below))
    for broken in entry.broken_links:  # last, so that nothing is written through them
        _restore_broken_link(broken, root)

    def located(value: CwlObject) -> CwlObject:
        """Return a file object its place in this run: in the output directory or among the inputs."""
        location = value.get("location", "_:")
        if "path" in value or not isinstance(location, str):
            raise DamagedError("a file of its outputs has a place of its own")
        if location.startswith(_IN_OUTPUTS):
            return {**value, "location": file_uri(_inside(root, location.removeprefix(_IN_OUTPUTS)))}
        if location.startswith(_IN_INPUTS):
            number, _, below = location.removeprefix(_IN_INPUTS).partition(":")
            return {**value, "location": file_uri(_input_path(inputs, number, below))}
        if not location.startswith("_:"):
            raise DamagedError(f"{location} is neither an output of the call nor an input")
        return value

    return as_object(map_file_objects(entry.outputs, located))


def gives_directory(entry: CacheEntry) -> bool:
    """Check whether an output is a directory that the call made, maybe its whole output directory (glob ``.``)."""
    return any(
        found["class"] == "Directory" and str(found.get("location")).startswith(_IN_OUTPUTS)
        for found in file_objects(entry.outputs)
    )


def encode_entry(entry: CacheEntry) -> bytes:
    """Write an entry as JSON."""
    found = {"format": ENTRY_FORMAT, "entry": entry}
    # Names may be no UTF-8.
    return json.dumps(found, separators=(",", ":"), ensure_ascii=True, allow_nan=False, default=_plain).encode()


def _plain(part: object) -> object:
    """Return what JSON has for a part of an entry."""
    if isinstance(part, bytes):
        return b64encode(part).decode("ascii")
    assert is_dataclass(part)  # noqa: S101 - all else is JSON
    return {member.name: getattr(part, member.name) for member in fields(part)}


def decode_entry(key: str, body: bytes) -> CacheEntry | None:
    """Read an entry, or give None where it is not the whole entry of this key."""
    try:
        found = as_object(loads(body))
        entry = _adapter().validate_python(found["entry"]) if found["format"] == ENTRY_FORMAT else None
    except (ValueError, KeyError, TypeError):
        return None
    return entry if entry is not None and entry.key.digest == key else None


@cache
def _adapter() -> TypeAdapter[CacheEntry]:
    return TypeAdapter(CacheEntry)


@dataclass(slots=True, kw_only=True)
class _Capturing:
    outdir: Path
    inputs: Sequence[CwlObject]
    checksums: Checksums
    found: Captured = field(default_factory=lambda: Captured(outputs={}))
    _real_inputs: list[tuple[str, int]] | None = None
    _real_outdir: str | None = None

    def described(self, value: CwlObject) -> CwlObject:
        """Return a file object without its place, and note what the store has to take of it."""
        location = value.get("location")
        if not isinstance(location, str) or location.startswith("_:"):
            return value
        path = local_path(location)
        kept = {name: item for name, item in value.items() if name not in _OF_ITS_PLACE}
        if str(path) != str(self.outdir) and not str(path).startswith(f"{self.outdir}/"):
            number, below = self._input(os.path.realpath(path))
            return {**kept, "location": f"{_IN_INPUTS}{number}:{below}"}
        checksum = value.get("checksum")
        self._take(path, checksum if isinstance(checksum, str) else None)
        return {**kept, "location": f"{_IN_OUTPUTS}{self._relative(path)}"}

    def _relative(self, path: Path) -> str:
        return str(path)[len(str(self.outdir)) + 1 :]

    def _take(self, path: Path, checksum: str | None, above: frozenset[tuple[int, int]] = frozenset()) -> None:
        below = self._relative(path)
        if below in self.found.files or below in self.found.links or below in self.found.broken_links:
            return
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode) and not os.path.exists(path):  # noqa: PTH110 - an answer whatever the error
            target = os.readlink(path)  # noqa: PTH115 - Path would write it anew
            self.found.broken_links[below] = BrokenLink(path=below, target=target)
            return
        if stat.S_ISLNK(status.st_mode) or self._leads_out(path):
            number, inside = self._input_or_none(path)
            if number is not None:
                self.found.links[below] = StoredLink(path=below, number=number, below=inside)
                return
            status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            self._take_directory(path, status, above)
        elif stat.S_ISREG(status.st_mode):
            self.found.files[below] = self._file(path, below, status, checksum)
        else:
            raise NotReusableError(f"output {below} is neither a file nor a directory")

    def _take_directory(self, path: Path, status: os.stat_result, above: frozenset[tuple[int, int]]) -> None:
        identity = (status.st_dev, status.st_ino)
        if identity in above:
            raise NotReusableError(f"output {self._relative(path)} contains itself by a link")
        if path != self.outdir:
            self.found.directories[self._relative(path)] = None
        with os.scandir(path) as entries:
            for entry in sorted(entries, key=lambda each: each.name):
                self._take(Path(entry.path), None, above | {identity})

    def _file(self, path: Path, below: str, status: os.stat_result, checksum: str | None) -> StoredFile:
        known = checksum or self.checksums.known(path, status) or self.checksums.compute(path)
        content = None
        if status.st_size <= SMALL_FILE:
            content = path.read_bytes()
            if checksum_of(content) != known:
                raise NotReusableError(f"output {below} changed while it was read")
        self.checksums.remember(path, status, known)
        return StoredFile(
            path=below,
            checksum=known,
            size=status.st_size,
            executable=bool(status.st_mode & 0o111),
            content=content,
        )

    def _leads_out(self, path: Path) -> bool:
        if path.parent == self.outdir:
            return False
        if self._real_outdir is None:
            self._real_outdir = os.path.realpath(self.outdir)
        return not os.path.realpath(path).startswith(f"{self._real_outdir}/")

    def _input_or_none(self, path: Path) -> tuple[int | None, str]:
        real, home = os.path.realpath(path), os.path.realpath(self.outdir)
        if real == home or real.startswith(f"{home}/"):
            return None, ""
        return self._input(real)

    def _input(self, real: str) -> tuple[int, str]:
        if self._real_inputs is None:
            self._real_inputs = [
                (os.path.realpath(local_path(str(found["location"]))), number)
                for number, found in enumerate(self.inputs)
                if str(found.get("location") or "_:").startswith("file:")
            ]
        for place, number in self._real_inputs:
            if real == place:
                return number, ""
            if real.startswith(f"{place}/"):
                return number, real[len(place) + 1 :]
        raise NotReusableError(f"an output lies at {real}, outside of the call's output directory and inputs")


def _restore_file(file: StoredFile, target: str, store: Store, checksums: Checksums) -> None:
    if file.content is None:
        place = Path(target)
        place.parent.mkdir(parents=True, exist_ok=True)
        store.get(file, place)
        status = place.stat()
    else:
        if checksum_of(file.content) != file.checksum or len(file.content) != file.size:
            raise DamagedError(f"{file.path} is damaged")
        descriptor = _made(target, 0o777 if file.executable else 0o666)
        try:
            write_all(descriptor, file.content)
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    checksums.remember(target, status, file.checksum)


def _restore_broken_link(link: BrokenLink, root: str) -> None:
    place = _place_of_link(link.path, root)
    if not link.target or "\0" in link.target:
        raise DamagedError(f"{link.path} is no link")
    place.symlink_to(link.target)
    if os.path.exists(place):  # noqa: PTH110 - an answer whatever the error
        raise FileExistsError(errno.EEXIST, f"{link.path} led nowhere, but here it would lead to", link.target)


def _place_of_link(below: str, root: str) -> Path:
    """Return where a link is to be made, which must not lie behind another one, as in an input."""
    place = Path(_inside(root, below))
    inside = Path(os.path.realpath(root), below).parent
    if place == Path(root) or os.path.realpath(place.parent) != str(inside):
        raise DamagedError(f"{below!r} lies behind a link")
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _made(target: str, mode: int) -> int:
    """Make a file and open it; its directory is made where it is not there yet, which it mostly is."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(target, flags, mode)
    except FileNotFoundError:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        return os.open(target, flags, mode)


def _inside(directory: str, below: str) -> str:
    """Return a path below a directory; an entry that names any other is damaged."""
    if below.startswith("/") or ".." in below.split("/") or "\0" in below:
        raise DamagedError(f"{below!r} is no path inside a directory")
    return f"{directory}/{below}" if below else directory


def _input_path(inputs: Sequence[CwlObject], number: int | str, below: str) -> str:
    if not str(number).isdecimal():
        raise DamagedError(f"{number!r} is no number of an input")
    try:
        place = str(local_path(str(inputs[int(number)]["location"])))
    except (IndexError, KeyError, NotReusableError) as error:
        raise DamagedError(f"there is no input {number} on this machine") from error
    return _inside(place, below)
