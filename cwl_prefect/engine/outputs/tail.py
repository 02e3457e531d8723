"""What a tool prints, as lines that a person can read: its end, or what came since the last look."""

import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

LONGEST_LINE = 2_000
_MOST_BYTES = 64 * 1024
_ENTERED = os.O_DIRECTORY | getattr(os, "O_PATH", os.O_RDONLY)  # where there is O_PATH, no right to list is needed

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def one_line(text: str) -> str:
    """Show control characters instead of obeying them."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def shortened(text: str, length: int) -> str:
    """Cut a text, saying how much is missing."""
    return text if len(text) <= length else f"{text[:length]}… ({len(text) - length} more characters)"


def last_lines(path: Path, count: int) -> list[str]:
    """Read the last lines of a tool's output: a file that may be huge, be missing or hold any bytes."""
    if count <= 0:
        return []
    try:
        with _opened(path) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _MOST_BYTES))
            ending = file.read(_MOST_BYTES)
    except OSError:
        return []
    return list(_readable(ending))[-count:]


class Follower:
    """Reads a growing file, a bounded number of lines in all; the file keeps everything.

    Args:
        path: The file, which need not exist yet.
        most: How many lines are given in all.
    """

    def __init__(self, path: Path, *, most: int) -> None:
        self._path = path
        self._left = most
        self._offset = 0

    def more(self, *, ended: bool) -> list[str]:
        """Return the lines that came since the last look; an unfinished one only once the file has ended."""
        if self._left <= 0 or not self._has_grown():
            return []
        try:
            with _opened(self._path) as file:
                file.seek(self._offset)
                read = file.read(_MOST_BYTES)
        except OSError:
            return []
        whole = read if ended or len(read) == _MOST_BYTES else read[: read.rfind(b"\n") + 1]
        self._offset += len(whole)
        lines = list(_readable(whole))[: self._left]
        self._left -= len(lines)
        if self._left <= 0:
            lines.append(f"(more is in {self._path})")
        return lines

    def _has_grown(self) -> bool:
        """Check whether there may be something to read; whatever is there is only looked at."""
        try:
            return self._path.lstat().st_size > self._offset
        except OSError:
            return False


def _opened(path: Path) -> BinaryIO:
    """Open a file that a tool may have replaced by anything: a link leads elsewhere, and opening a pipe may not end.

    A directory on the way may be replaced too, at any moment, so that each is entered from the one before. Workspaces
    lie below a directory whose path is resolved, with no link on the way to them.

    Raises:
        OSError: It cannot be opened, is not a regular file, or lies behind a link.
    """
    descriptor = os.open(path.anchor, _ENTERED)
    for name in path.parts[1:-1]:
        descriptor = _open_in(descriptor, name, _ENTERED)
    descriptor = _open_in(descriptor, path.name, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def _open_in(directory: int, name: str, flags: int) -> int:
    """Open what a directory has under a name, unless that is a link; the directory is closed."""
    try:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    finally:
        os.close(directory)


def _readable(text: bytes) -> Iterator[str]:
    stripped = text.decode("utf-8", "replace").rstrip("\r\n")
    if not stripped:
        return
    for line in re.split(r"\r?\n", stripped):
        yield shortened(_visible(line), LONGEST_LINE)


def _visible(line: str) -> str:
    """Keep what a progress bar showed last, without colours."""
    return one_line(_COLOURS.sub("", line.rsplit("\r", 1)[-1]).expandtabs())
