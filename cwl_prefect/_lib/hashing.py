"""Checksums of content as CWL writes them: ``sha1$`` and 40 digits, the algorithm of its File objects."""

import hashlib
from io import BufferedIOBase
from pathlib import Path

_PREFIX = "sha1$"
_BLOCK = 64 * 1024  # bytes


def checksum_of(content: bytes) -> str:
    """Return the checksum of some bytes."""
    return _PREFIX + hashlib.sha1(content, usedforsecurity=False).hexdigest()


def stream_checksum(stream: BufferedIOBase) -> str:
    """Return the checksum of a whole stream."""
    digest = hashlib.sha1(usedforsecurity=False)
    while block := stream.read(_BLOCK):  # most are small; ``hashlib.file_digest`` makes a buffer of 256 KiB for each
        digest.update(block)
    return _PREFIX + digest.hexdigest()


def file_checksum(path: Path | str) -> str:
    """Return the checksum of a file.

    Raises:
        OSError: It cannot be read.
    """
    with open(path, "rb") as stream:  # noqa: PTH123 - takes a text too
        return stream_checksum(stream)


def digits(checksum: str) -> str:
    """Return a checksum without the name of its algorithm, as a file's name may hold it."""
    return checksum.removeprefix(_PREFIX)
