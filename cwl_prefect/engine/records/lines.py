"""Records that only grow: files with a JSON object a line, of which a crash may cut the last short."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


def read_lines(path: Path, adapter: TypeAdapter[T]) -> Iterator[T]:
    """Yield what is in the lines of a file, without those that are not whole.

    Raises:
        OSError: It cannot be read.
    """
    for line in path.read_text("utf-8", errors="replace").split("\n"):
        with suppress(ValidationError):
            yield adapter.validate_json(line)
