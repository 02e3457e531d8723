"""What object stores tell of the content of an object, and the same of a file of this machine."""

import asyncio
import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

PART = 16 * 1024 * 1024
"""Bytes of a part of an object that is uploaded in parts, at least."""

_MOST_PARTS = 9_000  # S3 takes 10,000
_BLOCK = 4 * 1024 * 1024  # bytes that are read at once
_SMALL = 256 * 1024  # bytes that are read in less time than a thread takes to begin
_MD5 = re.compile(r"[0-9a-f]{32}(-[0-9]+)?")


def part_size(size: int) -> int:
    """Return the bytes of each part of an object but the last."""
    return max(PART, -(-size // _MOST_PARTS))


def told_digest(info: Mapping[str, object]) -> str | None:
    """Return the MD5 of an object as its store tells it, or that of the MD5s of its parts with their count.

    S3 tells it by the ETag of an object that it has not encrypted with a key of its own (Amazon S3, "Checking object
    integrity"), Google by ``md5Hash``. None: the store tells none.
    """
    etag = str(info.get("ETag") or "").strip('"')
    if _MD5.fullmatch(etag):
        return etag
    encoded = info.get("md5Hash")
    return base64.b64decode(encoded).hex() if isinstance(encoded, str) else None


async def file_digest(source: Path, size: int, *, in_parts: bool) -> str:
    """Return what a store tells of a file that was uploaded as a whole, or in parts.

    Raises:
        OSError: It cannot be read.
    """
    digests: list[bytes] = []
    length = part_size(size) if in_parts else max(size, 1)
    for start in range(0, max(size, 1), length):
        digests.append(await _digest_between(source, start, min(start + length, size)))
    if not in_parts:
        return digests[0].hex()
    return f"{_md5(b''.join(digests)).hexdigest()}-{len(digests)}"


async def _digest_between(source: Path, start: int, end: int) -> bytes:
    """Return the MD5 of a part of a file, read in blocks, so that whoever is cancelled need not wait long."""
    found = _md5()
    if end - start <= _SMALL:
        _add(found, source, start, end - start)
        return found.digest()
    for position in range(start, end, _BLOCK):
        await asyncio.to_thread(_add, found, source, position, min(_BLOCK, end - position))
    return found.digest()


def _add(found: "hashlib._Hash", source: Path, position: int, length: int) -> None:
    with source.open("rb") as stream:
        stream.seek(position)
        found.update(stream.read(length))


def _md5(content: bytes = b"") -> "hashlib._Hash":
    return hashlib.md5(content, usedforsecurity=False)
