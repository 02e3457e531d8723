"""Texts that an editor has open and that may not be saved yet: they go before the files of their names."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from cwl_prefect._lib.uris import path_of

_OPEN: ContextVar[Mapping[Path, str] | None] = ContextVar("open texts", default=None)


@contextmanager
def in_editor(texts: Mapping[Path, str]) -> Iterator[None]:
    """Take these texts, by absolute path, for what the files hold, and fetch nothing from other machines."""
    token = _OPEN.set(texts)
    try:
        yield
    finally:
        _OPEN.reset(token)


def may_fetch() -> bool:
    """Check whether documents may be fetched from other machines."""
    return _OPEN.get() is None


def open_text(location: str | Path) -> str | None:
    """Return the text of a path or ``file://`` URI that is open; None where it is not."""
    texts = _OPEN.get()
    path = path_of(str(location)) if texts else None
    return None if texts is None or path is None else texts.get(path.absolute())


def text_of(path: Path) -> str:
    """Return the text of a local document as it is open, or else as its file has it.

    Raises:
        OSError: It cannot be read.
    """
    found = open_text(path)
    return path.read_text("utf-8", "replace") if found is None else found
