"""The bytes of an object to a file on disk, as they come: never whole in memory, on from where a try ended."""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Event

from cwl_prefect._lib.locations import is_web, scheme_of, shown_url
from cwl_prefect._lib.own_files import open_private
from cwl_prefect.errors import StorageError
from cwl_prefect.storage.failures import storage_errors
from cwl_prefect.storage.objects import RemoteObject

BLOCK = 8 * 2**20
"""Bytes that are asked for at once where the server is asked for ranges."""

_MIB = 2**20
_BY_RANGE = frozenset({"s3", "gs", "az", "abfs", "abfss"})  # others read on from an open file


class StoppedError(Exception):
    """Nobody waits for the bytes any more."""


class Part:
    """A file that grows while its checksum is taken.

    Args:
        path: The file, which may hold the beginning already.
        stop: Set once nobody waits for it any more.
    """

    def __init__(self, path: Path, stop: Event) -> None:
        self._stop = stop
        self._descriptor = open_private(str(path), os.O_RDWR | os.O_CREAT)
        self._sum = hashlib.sha1(usedforsecurity=False)
        self.size = 0
        while block := os.read(self._descriptor, BLOCK):
            self._sum.update(block)
            self.size += len(block)

    @property
    def checksum(self) -> str:
        """The checksum of all that it holds, as CWL writes it."""
        return f"sha1${self._sum.hexdigest()}"

    def write(self, block: bytes) -> None:
        """Append some bytes.

        Raises:
            StoppedError: Nobody waits for them.
            OSError: They cannot be written.
        """
        if self._stop.is_set():
            raise StoppedError
        rest = memoryview(block)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self._sum.update(block)
        self.size += len(block)

    def restart(self) -> None:
        """Begin anew."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self._sum, self.size = hashlib.sha1(usedforsecurity=False), 0

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def transfer(remote: RemoteObject, path: Path, stop: Event, *, least_free_mib: float = 0.0) -> str:
    """Write what lies at a URL to a file, from where that ends, and return its checksum.

    Args:
        remote: What to read.
        path: The file; what it holds is the beginning of the same object.
        stop: Set once nobody waits for it any more.
        least_free_mib: MiB that stay free on the disk.

    Raises:
        StorageError: It cannot be read or written, or has not its size or checksum.
        StoppedError: Nobody waits for it.
    """
    part = Part(path, stop)
    try:
        if remote.size is not None and part.size > remote.size:
            part.restart()
        _demand_room(remote, part, path, least_free_mib)
        if part.size < len(remote.beginning):
            part.write(remote.beginning[part.size :])
        if remote.size is None or part.size < remote.size:
            _copy(remote, part)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "the disk is full" if full else error.strerror or type(error).__name__
        raise StorageError(f"{shown_url(remote.url)} cannot be stored in {path.parent}: {why}.", hint=_ROOM) from error
    finally:
        part.close()
    if remote.size is not None and part.size != remote.size:
        raise StorageError(
            f"{shown_url(remote.url)} cannot be read: {part.size} of {remote.size} bytes came.",
            hint="Check the network, and run again: what was fetched is kept.",
            passing=True,
        )
    _demand_digest(remote, path)
    return part.checksum


def _demand_digest(remote: RemoteObject, path: Path) -> None:
    if remote.digest is None:
        return
    algorithm, expected = remote.digest
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    if found != expected:
        path.unlink()
        raise StorageError(
            f"{shown_url(remote.name)} cannot be read: its {algorithm} is {found}, expected {expected}.",
            hint="Run again; if it stays so, tell the one who keeps the object.",
        )


_ROOM = "Make room, as by `cwl-prefect cache gc --max-size`, or let CWL_PREFECT_HOME be on a larger disk."


def room_in(directory: Path, least_free_mib: float) -> float:
    """Return how many bytes a directory's disk takes, where some MiB stay free."""
    return max(0.0, shutil.disk_usage(directory).free - least_free_mib * _MIB)


def _demand_room(remote: RemoteObject, part: Part, path: Path, least_free_mib: float) -> None:
    needed = 0 if remote.size is None else remote.size - part.size
    if needed > room_in(path.parent, least_free_mib):
        free = shutil.disk_usage(path.parent).free
        raise StorageError(
            f"{shown_url(remote.url)} cannot be stored in {path.parent}: it needs {needed / _MIB:.0f} MiB, and "
            f"{free / _MIB:.0f} MiB are free, of which {least_free_mib:g} stay.",
            hint=_ROOM,
        )


def _copy(remote: RemoteObject, part: Part) -> None:
    if is_web(remote.url):
        _copy_web(remote, part)
        return
    read = _by_range(remote) if scheme_of(remote.url) in _BY_RANGE else _by_reading_on(remote, part.size)
    while remote.size is None or part.size < remote.size:
        with storage_errors("read", remote.url):
            block = read(part.size)
        if not block:
            return
        part.write(block)


def _by_range(remote: RemoteObject) -> Callable[[int], bytes]:
    def read(offset: int) -> bytes:
        """Return the block that begins somewhere."""
        end = offset + BLOCK if remote.size is None else min(offset + BLOCK, remote.size)
        return bytes(remote.files.cat_file(remote.path, start=offset, end=end))

    return read


def _by_reading_on(remote: RemoteObject, begin: int) -> Callable[[int], bytes]:
    with storage_errors("read", remote.url):
        stream = remote.files.open(remote.path, "rb", block_size=BLOCK)
        stream.seek(begin)

    def read(offset: int) -> bytes:
        """Return the next block, and let go of the server after the last."""
        block = bytes(stream.read(BLOCK))
        if not block or (remote.size is not None and offset + len(block) >= remote.size):
            stream.close()
        return block

    return read


def _copy_web(remote: RemoteObject, part: Part) -> None:
    """Read one answer to its end; a server that cannot go on where the part ends sends the whole."""
    from fsspec.asyn import sync

    failed: list[BaseException] = []

    def write(block: bytes) -> None:
        """Append to the part, and remember what kept it from that."""
        try:
            part.write(block)
        except BaseException as error:
            failed.append(error)
            raise

    async def copied() -> None:
        """Write the answer in the loop of the file system."""
        session = await remote.files.set_session()
        headers = {"Accept-Encoding": "identity"}
        if part.size and remote.condition:
            headers |= {"Range": f"bytes={part.size}-", "If-Range": remote.condition}
        async with session.get(remote.files.encode_url(remote.path), headers=headers) as answer:
            answer.raise_for_status()
            if answer.status != _PARTIAL:
                part.restart()
            async for block in answer.content.iter_any():
                write(block)

    try:
        with storage_errors("read", remote.url):
            sync(remote.files.loop, copied)
    except StorageError as error:
        if failed:  # what this side did is not the server's failure
            raise failed[0] from error
        raise


_PARTIAL = 206
