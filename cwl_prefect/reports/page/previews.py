"""Beginnings of the files that a run gave, for its page: text, tables and small images."""

import base64
import codecs
import csv
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from pydantic import JsonValue

from cwl_prefect._lib.uris import path_of
from cwl_prefect.model.values import file_objects
from cwl_prefect.reports.record import Record

MOST_FILES = 20
LARGEST_IMAGE = 256 * 1024  # bytes
LONGEST_TEXT = 4096  # bytes
MOST_ROWS, MOST_COLUMNS = 10, 12

_IMAGES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif"}
_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}


def previews(record: Record) -> dict[str, JsonValue]:
    """Return what is shown of output files, by their locations; nothing where a run had secrets, which may be in them.

    Only regular files within the directory for results are read.
    """
    outdir = record.started.get("outdir")
    if record.started.get("secret") is not False or not isinstance(outdir, str):
        return {}
    found: dict[str, JsonValue] = {}
    for location, path in _files(record.outputs):
        if len(found) == MOST_FILES:
            break
        with suppress(OSError, ValueError, csv.Error):  # gone, or nothing that is shown
            found[location] = _preview(_within(Path(outdir), path))
    return found


def images(outputs: JsonValue, outdir: Path) -> list[tuple[str, str]]:
    """Return the paths and data of the first images among outputs, as many as fit into the size of the largest.

    Only regular files within the directory for results are read, and none is taken that does not begin as a raster
    image does, whatever its name.
    """
    found: list[tuple[str, str]] = []
    left = LARGEST_IMAGE
    named = (path for _, path in _files(outputs) if path.suffix.lower() in _SUFFIXES)
    for path in islice(named, MOST_FILES):
        with suppress(OSError):
            content = _beginning(_within(outdir, path))
            data = _image(content) if len(content) <= left else None
            if data is not None:
                left -= len(content)
                found.append((str(path), data))
    return found


def _files(outputs: JsonValue) -> Iterator[tuple[str, Path]]:
    for file in file_objects(outputs):
        location = file.get("location")
        path = path_of(location) if isinstance(location, str) and file.get("class") == "File" else None
        if path is not None:
            yield str(location), path


def _within(outdir: Path, path: Path) -> Path:
    """Return the path of a file of the directory for results.

    Raises:
        OSError: It is gone, or lies elsewhere.
    """
    if not path.resolve(strict=True).is_relative_to(outdir.resolve()):
        raise OSError
    return path


def _preview(path: Path) -> JsonValue:
    """Return what is shown of a file.

    Raises:
        OSError: It cannot be read, or is no regular file.
        ValueError: It is neither text nor a small image.
    """
    content = _beginning(path)
    data = _image(content)
    if data is not None:
        return {"kind": "image", "data": data}
    text = codecs.getincrementaldecoder("utf-8")().decode(content[:LONGEST_TEXT])
    if not text.strip() or any(letter < " " and letter not in "\t\n\r" for letter in text):
        raise ValueError
    cut = len(content) > LONGEST_TEXT
    delimiter = _DELIMITERS.get(path.suffix.lower())
    if delimiter is None:
        return {"kind": "text", "text": text, "cut": cut}
    lines = text.splitlines()[: -1 if cut else None]
    rows: list[JsonValue] = [
        list(row[:MOST_COLUMNS]) for row in csv.reader(lines[: MOST_ROWS + 1], delimiter=delimiter)
    ]
    return {"kind": "table", "rows": rows, "cut": cut or len(lines) > MOST_ROWS + 1}


def image(path: Path) -> str | None:
    """Return a small image as a URL that holds its data, or None where a file is none or cannot be read."""
    with suppress(OSError):
        return _image(_beginning(path))
    return None


def _image(content: bytes) -> str | None:
    kind = next((kind for magic, kind in _IMAGES.items() if content.startswith(magic)), None)
    if kind is None or len(content) > LARGEST_IMAGE:
        return None
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _beginning(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError
        return stream.read(LARGEST_IMAGE + 1)
